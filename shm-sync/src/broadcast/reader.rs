//! A reader's end of a broadcast.

use super::Broadcast;
use crate::protocol::broadcast::reader::{ATTEMPTS, Cursor};
use crate::{
    Step, SyncError,
    block::{Deadline, block, block_until},
    bytes::Bytes,
};
use shm_api::Access;
use std::{ptr::NonNull, time::Duration};

// How long a reader that cannot sleep on a word sleeps at most between two looks.
const POLL: Duration = Duration::from_millis(1);

/// Reads messages at its own pace, and writes nothing.
#[derive(Debug)]
pub struct Reader<'a> {
    broadcast: Broadcast<'a>,
    cursor: Cursor,
}

/// The position of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message's number. The first message of the broadcast has 0.
    pub number: u64,
    /// How many messages were missed since the previous one of this reader.
    pub missed: u64,
}

/// A message that was kept. Resume it with the reader that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptFrame {
    number: u64,
    length: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(broadcast: Broadcast<'a>) -> Result<Self, SyncError> {
        Ok(Self { broadcast, cursor: broadcast.slots.cursor() })
    }

    /// Goes back to the oldest message that is still there. The producer may overwrite it at any moment.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] if the bytes contradict each other.
    pub fn rewind(&mut self) -> Result<(), SyncError> {
        self.broadcast.slots.rewind(&mut self.cursor);
        self.broadcast.region.sound(())
    }

    /// The number of the message that it reads next.
    pub const fn next(&self) -> u64 {
        self.cursor.next
    }

    /// Receives the next message, if there is one now, and copies it to the end of `into`.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] if the bytes contradict each other.
    pub fn try_receive(&mut self, into: &mut Vec<u8>) -> Result<Option<Received>, SyncError> {
        for _ in 0..ATTEMPTS {
            let Some(frame) = self.try_peek()? else { return Ok(None) };
            if let Some(received) = frame.copy_to(into) {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Receives the next message, and copies it to the end of `into`. Waits until there is one.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub fn receive(&mut self, into: &mut Vec<u8>) -> Result<Received, SyncError> {
        loop {
            if let Some(received) = self.peek()?.copy_to(into) {
                return Ok(received);
            }
        }
    }

    /// Receives the next message; `None` if `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub fn receive_timeout(
        &mut self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<Option<Received>, SyncError> {
        let deadline = Deadline::after(timeout);
        while let Some(length) = self.find_until(deadline)? {
            if let Some(received) = (Frame { reader: self, length }).copy_to(into) {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Gives the next message in place, if there is one now. What you read is valid only if [`finish`](Frame::finish)
    /// does not return `None`.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    #[inline]
    pub fn try_peek(&mut self) -> Result<Option<Frame<'_, 'a>>, SyncError> {
        let Some(length) = self.find()? else { return Ok(None) };
        Ok(Some(Frame { reader: self, length }))
    }

    /// Gives the next message in place. Waits until there is one.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    #[inline]
    pub fn peek(&mut self) -> Result<Frame<'_, 'a>, SyncError> {
        let length = match self.find()? {
            Some(length) => length,
            None => self.find_slowly()?,
        };
        Ok(Frame { reader: self, length })
    }

    /// Gives the next message in place; `None` if `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub fn peek_timeout(&mut self, timeout: Duration) -> Result<Option<Frame<'_, 'a>>, SyncError> {
        let length = self.find_until(Deadline::after(timeout))?;
        Ok(length.map(|length| Frame { reader: self, length }))
    }

    /// Takes a step of [`peek`](Self::peek), for an event loop.
    ///
    /// # Errors
    ///
    /// [`SyncError::ReadOnly`] if the region is read-only: such a reader can only poll.
    pub fn peek_step(&mut self) -> Result<Step<'a, Frame<'_, 'a>>, SyncError> {
        if let Some(length) = self.find()? {
            return Ok(Step::Ready(Frame { reader: self, length }));
        }
        self.broadcast.region.writable()?;
        let step = self.find_step()?;
        Ok(step.map(|length| Frame { reader: self, length }))
    }

    /// Returns a message that was [kept](Frame::keep), even if it has been overwritten meanwhile.
    ///
    /// # Errors
    ///
    /// [`SyncError::NotHeld`] if the reader has gone on to another message.
    pub fn resume(&mut self, kept: KeptFrame) -> Result<Frame<'_, 'a>, SyncError> {
        // One of another broadcast may be longer than a slot here.
        if kept.number != self.cursor.next || kept.length > self.broadcast.slots.max_message() {
            return Err(SyncError::NotHeld);
        }
        Ok(Frame { reader: self, length: kept.length })
    }

    #[inline]
    fn find(&mut self) -> Result<Option<u32>, SyncError> {
        let found = self.broadcast.slots.find(&mut self.cursor);
        self.broadcast.region.sound_result(found)
    }

    fn find_step(&mut self) -> Result<Step<'a, u32>, SyncError> {
        let step = self.broadcast.slots.find_step(&mut self.cursor);
        self.broadcast.region.sound_result(step)
    }

    const fn can_sleep(&self) -> bool {
        !matches!(self.broadcast.region.access(), Access::ReadOnly)
    }

    #[cold]
    fn find_slowly(&mut self) -> Result<u32, SyncError> {
        self.broadcast.slots.spin_for(&self.cursor);
        if self.can_sleep() {
            return block(|| self.find_step());
        }
        let mut poll = Poll::default();
        loop {
            match self.find()? {
                Some(length) => return Ok(length),
                None => poll.sleep(POLL),
            }
        }
    }

    fn find_until(&mut self, deadline: Deadline) -> Result<Option<u32>, SyncError> {
        self.broadcast.slots.spin_for(&self.cursor);
        if self.can_sleep() {
            return block_until(deadline, || self.find_step());
        }
        let mut poll = Poll::default();
        loop {
            if let Some(length) = self.find()? {
                return Ok(Some(length));
            }
            match deadline.clip(POLL) {
                Some(time) => poll.sleep(time),
                None => return Ok(None),
            }
        }
    }
}

/// Sleeps of increasing length, for a reader that cannot sleep on a word.
#[derive(Default)]
struct Poll {
    pause: Duration,
}

impl Poll {
    fn sleep(&mut self, most: Duration) {
        self.pause = (self.pause * 2).clamp(Duration::from_micros(1), POLL);
        std::thread::sleep(self.pause.min(most));
    }
}

/// A message in place. The producer may overwrite it at any moment; [`finish`](Self::finish) says whether it did.
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

    /// Byte offset of the message, counted from the broadcast's first byte.
    pub fn offset(&self) -> usize {
        self.reader.broadcast.slots.message(self.reader.cursor.next) as usize
    }

    /// Where it begins, aligned to 8 bytes. Read it with volatile accesses: it may change.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        let broadcast = &self.reader.broadcast;
        broadcast.region.byte(broadcast.slots.message(self.reader.cursor.next))
    }

    /// Copies bytes of it, from `offset` on, into `target`; returns how many: fewer if the message ends earlier.
    #[inline]
    pub fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        self.bytes().read(offset, target)
    }

    /// Copies it to the end of `into`.
    #[inline]
    pub fn append_to(&self, into: &mut Vec<u8>) {
        self.bytes().append_to(into);
    }

    #[inline]
    fn bytes(&self) -> Bytes {
        // SAFETY: the message of a slot lies in the region, whose memory outlives the reader.
        unsafe { Bytes::new(self.as_ptr(), self.len()) }
    }

    // Copies all of it to the end of `into`, or nothing if it was overwritten meanwhile.
    fn copy_to(self, into: &mut Vec<u8>) -> Option<Received> {
        let length = into.len();
        self.append_to(into);
        let received = self.finish();
        if received.is_none() {
            into.truncate(length);
        }
        received
    }

    /// Keeps it until [`Reader::resume`].
    pub const fn keep(self) -> KeptFrame {
        KeptFrame { number: self.reader.cursor.next, length: self.length }
    }

    /// Ends the reading, and goes on to the next message. Returns `None` if the message was overwritten meanwhile: then
    /// what you read may mix old and new bytes.
    #[inline]
    pub fn finish(self) -> Option<Received> {
        let Reader { broadcast, cursor } = self.reader;
        let number = cursor.next;
        let finished = broadcast.slots.finish(cursor).map(|missed| Received { number, missed });
        finished.filter(|_| !broadcast.region.is_shrunk())
    }
}
