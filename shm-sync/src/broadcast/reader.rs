//! A reader's end of a broadcast.

use super::Broadcast;
use crate::protocol::latest::layout::{KIND, MESSAGE};
use crate::protocol::{
    cell::Ordering,
    step::{Deadline, drive},
};
use crate::{Step, SyncError};
use shm_api::Access;
use shm_api::racy_copy;
use std::{
    ptr::NonNull,
    time::{Duration, Instant},
};

// How often a reader that is overtaken while it reads tries again before it says that there is nothing.
const ATTEMPTS: u32 = 8;
// How long a reader that cannot sleep on a word sleeps at most between two looks.
const POLL: Duration = Duration::from_millis(1);

/// Reads messages at its own pace, without a trace.
#[derive(Debug)]
pub struct Reader<'a> {
    broadcast: Broadcast<'a>,
    next: u64,
    missed: u64,
    /// How often in a row.
    overtaken: u32,
}

/// What came with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message's number; the first of all had 0.
    pub number: u64,
    /// How many were missed since the last one that this reader got.
    pub missed: u64,
}

/// A message that was kept, of the reader that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFrame {
    number: u64,
    length: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(broadcast: Broadcast<'a>) -> Result<Self, SyncError> {
        let mut reader = Self { broadcast, next: 0, missed: 0, overtaken: 0 };
        reader.next = reader.head()?;
        Ok(reader)
    }

    /// Goes back to the oldest message that is still there, which may go away at any moment.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] where the bytes make no sense.
    pub fn rewind(&mut self) -> Result<(), SyncError> {
        self.next = self.head()?.saturating_sub(self.broadcast.slots.count().into());
        self.missed = 0;
        Ok(())
    }

    /// The number of the message that it wants next.
    pub const fn next(&self) -> u64 {
        self.next
    }

    fn head(&self) -> Result<u64, SyncError> {
        // The halves differ for a moment in four thousand million messages, or if a producer was killed in it.
        for _ in 0..ATTEMPTS {
            if let Some(head) = self.broadcast.slots.head() {
                return Ok(head);
            }
            std::thread::yield_now();
        }
        Ok(self.broadcast.slots.head().unwrap_or(self.next))
    }

    /// The next message, copied to the end of `into`, if there is one now.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] where the bytes make no sense.
    pub fn try_receive(&mut self, into: &mut Vec<u8>) -> Result<Option<Received>, SyncError> {
        let length = into.len();
        for _ in 0..ATTEMPTS {
            let Some(frame) = self.try_peek()? else { return Ok(None) };
            frame.append_to(into);
            if let Some(received) = frame.finish() {
                return Ok(Some(received));
            }
            into.truncate(length);
        }
        Ok(None)
    }

    /// The next message; waits for it for as long as that takes.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub fn receive(&mut self, into: &mut Vec<u8>) -> Result<Received, SyncError> {
        loop {
            if let Some(received) = self.receive_until(into, Deadline::Never)? {
                return Ok(received);
            }
        }
    }

    /// The next message, or none when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub fn receive_timeout(
        &mut self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<Option<Received>, SyncError> {
        self.receive_until(into, Deadline::after(timeout))
    }

    fn receive_until(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<Option<Received>, SyncError> {
        let length = into.len();
        loop {
            let Some(frame) = self.peek_until(deadline)? else { return Ok(None) };
            frame.append_to(into);
            if let Some(received) = frame.finish() {
                return Ok(Some(received));
            }
            into.truncate(length);
        }
    }

    /// The next message in place, if there is one now. What is read of it counts only if
    /// [`finish`](Frame::finish) says so.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    #[inline]
    pub fn try_peek(&mut self) -> Result<Option<Frame<'_, 'a>>, SyncError> {
        let Some(length) = self.find()? else { return Ok(None) };
        Ok(Some(Frame { reader: self, length }))
    }

    /// The next message in place; waits for it for as long as that takes.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    #[inline]
    pub fn peek(&mut self) -> Result<Frame<'_, 'a>, SyncError> {
        let length = match self.find()? {
            Some(length) => length,
            None => self.find_until(Deadline::Never)?.ok_or(SyncError::NotHeld)?,
        };
        Ok(Frame { reader: self, length })
    }

    /// The next message in place; `None` when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub fn peek_timeout(&mut self, timeout: Duration) -> Result<Option<Frame<'_, 'a>>, SyncError> {
        self.peek_until(Deadline::after(timeout))
    }

    fn peek_until(&mut self, deadline: Deadline) -> Result<Option<Frame<'_, 'a>>, SyncError> {
        let length = self.find_until(deadline)?;
        Ok(length.map(|length| Frame { reader: self, length }))
    }

    /// Peeking in steps, for an event loop.
    ///
    /// # Errors
    ///
    /// [`SyncError::ReadOnly`] where the region is: such a reader can only poll.
    pub fn peek_step(&mut self) -> Result<Step<'a, Frame<'_, 'a>>, SyncError> {
        Ok(match self.find()? {
            Some(length) => Step::Ready(Frame { reader: self, length }),
            None => {
                self.broadcast.region.writable()?;
                Step::Wait(self.broadcast.slots.wait_for(self.next))
            }
        })
    }

    /// A message that was [kept](Frame::keep), whether overwritten meanwhile or not.
    ///
    /// # Errors
    ///
    /// [`SyncError::NotHeld`] where the reader has gone on to another one.
    pub fn resume(&mut self, kept: KeptFrame) -> Result<Frame<'_, 'a>, SyncError> {
        if kept.number != self.next {
            return Err(SyncError::NotHeld);
        }
        Ok(Frame { reader: self, length: kept.length })
    }

    fn find_until(&mut self, deadline: Deadline) -> Result<Option<u32>, SyncError> {
        let mut pause = Duration::from_micros(1);
        loop {
            let slots = self.broadcast.slots;
            let next = self.next;
            crate::protocol::cell::spin(|| slots.head().is_some_and(|head| head != next));
            if self.broadcast.region.access() != Access::ReadOnly {
                return drive(deadline, || {
                    Ok(match self.find()? {
                        Some(length) => Step::Ready(length),
                        None => Step::Wait(self.broadcast.slots.wait_for(self.next)),
                    })
                });
            }
            if let Some(length) = self.find()? {
                return Ok(Some(length));
            }
            if matches!(deadline, Deadline::At(then) if Instant::now() >= then) {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(POLL);
        }
    }

    /// Goes to the next message that is there, and returns its length.
    #[inline]
    fn find(&mut self) -> Result<Option<u32>, SyncError> {
        let slots = self.broadcast.slots;
        for attempt in 0..ATTEMPTS {
            let head = self.head()?;
            if head == self.next {
                return Ok(None);
            }
            if head < self.next {
                return Err(SyncError::Damaged { what: KIND.name, how: "its head went back" });
            }
            let count = u64::from(slots.count());
            if attempt > 0 || head - self.next > count {
                self.skip(head);
            }
            if slots.is_there(self.next) {
                let length = slots.length(self.next).load(Ordering::Relaxed);
                if slots.is_still_there(self.next) {
                    return if length <= self.broadcast.max_message {
                        Ok(Some(length))
                    } else {
                        Err(SyncError::Damaged { what: KIND.name, how: "a message is too long" })
                    };
                }
            } else if attempt + 1 == ATTEMPTS && self.next + 1 == head && self.head()? == head {
                return Err(SyncError::Damaged { what: KIND.name, how: "its newest message is not there" });
            }
        }
        Ok(None)
    }

    /// Overtaken: goes to a message that is not about to go away too; the more often, the newer.
    #[cold]
    fn skip(&mut self, head: u64) {
        let count = u64::from(self.broadcast.slots.count());
        let keep = if self.overtaken < 3 { (count - count / 4).min(count - 1) } else { 1 };
        let next = head.saturating_sub(keep).max(self.next);
        self.overtaken = self.overtaken.saturating_add(1);
        self.missed += next - self.next;
        self.next = next;
    }
}

/// A message in place. The producer may overwrite it at any moment; [`finish`](Self::finish) tells whether it
/// did.
#[derive(Debug)]
#[must_use = "what was read counts only if finish() says so"]
pub struct Frame<'r, 'a> {
    reader: &'r mut Reader<'a>,
    length: u32,
}

impl Frame<'_, '_> {
    /// The message's length.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where it begins, aligned to 8 bytes. Read it with volatile accesses: it may change.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        let broadcast = &self.reader.broadcast;
        broadcast.region.byte(broadcast.slots.offset(self.reader.next) + MESSAGE)
    }

    /// Copies bytes of it, from `offset` on, into `target`; returns how many: fewer at its end.
    #[inline]
    pub fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        let count = target.len().min(self.len().saturating_sub(offset));
        if count > 0 {
            // SAFETY: `offset` is inside the message.
            let source = unsafe { self.as_ptr().add(offset) };
            // SAFETY: `count` bytes fit on both sides; a `&mut` of ours never overlaps shared memory.
            unsafe { racy_copy(source, NonNull::from(target).cast(), count) };
        }
        count
    }

    /// Copies it to the end of `into`.
    #[inline]
    pub fn append_to(&self, into: &mut Vec<u8>) {
        into.reserve(self.len());
        let spare = NonNull::from(into.spare_capacity_mut()).cast();
        // SAFETY: `reserve` made room for as many bytes; a vector never overlaps shared memory.
        unsafe { racy_copy(self.as_ptr(), spare, self.len()) };
        // SAFETY: they are initialized now.
        unsafe { into.set_len(into.len() + self.len()) };
    }

    /// Keeps it until [`Reader::resume`].
    pub const fn keep(self) -> KeptFrame {
        KeptFrame { number: self.reader.next, length: self.length }
    }

    /// Done with it. `None` where it was overwritten meanwhile, and so what was read may be torn; the reader
    /// goes on to the next one that is there.
    #[inline]
    pub fn finish(self) -> Option<Received> {
        let reader = self.reader;
        if !reader.broadcast.slots.is_still_there(reader.next) {
            return None;
        }
        let received = Received { number: reader.next, missed: std::mem::take(&mut reader.missed) };
        reader.overtaken = 0;
        reader.next += 1;
        Some(received)
    }
}
