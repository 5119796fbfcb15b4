//! The producer's end of a channel.

use super::{Channel, Kept, Producers};
use crate::protocol::ring::{
    SendWindow,
    layout::{LOCK, PRODUCER, RECORD, SKIP, TAIL},
};
use crate::protocol::{
    cell::Ordering,
    lock_word::{LockWord, Queue},
    step::{Deadline, drive},
};
use crate::{Owner, Step, SyncError, live, storm::may_die_here};
use shm_api::racy_copy;
use std::{ptr::NonNull, time::Duration};

/// Sends messages.
#[derive(Debug)]
pub struct Sender<'a> {
    channel: Channel<'a>,
    owner: Owner,
    era: u32,
    // Empty where there are many producers.
    window: SendWindow,
}

/// What a [`Sender`] that waits for room remembers between steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserving(Queue);

impl<'a> Sender<'a> {
    pub(super) fn new(channel: Channel<'a>) -> Result<Self, SyncError> {
        let owner = channel.caller.owner()?;
        let window = match channel.producers {
            Producers::Many => SendWindow::default(),
            Producers::One => {
                LockWord(channel.ring.word(PRODUCER))
                    .attempt(owner, |owner| channel.caller.is_alive(owner))
                    .ok_or_else(|| SyncError::taken("producer", channel.ring.word(PRODUCER)))?;
                channel.ring.one_producer()
            }
        };
        Ok(Self { channel, owner, era: live::era(), window })
    }

    /// Sends a message, and waits for room for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`SyncError::TooLong`] beyond half the ring.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SyncError> {
        let mut reservation = self.reserve(message.len())?;
        reservation.write(0, message);
        reservation.commit();
        Ok(())
    }

    /// Sends a message if there is room now; tells whether it did.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<bool, SyncError> {
        let Some(mut reservation) = self.try_reserve(message.len())? else { return Ok(false) };
        reservation.write(0, message);
        reservation.commit();
        Ok(true)
    }

    /// Sends a message, or gives up when `timeout` is over; tells whether it did.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<bool, SyncError> {
        let Some(mut reservation) = self.reserve_timeout(message.len(), timeout)? else { return Ok(false) };
        reservation.write(0, message);
        reservation.commit();
        Ok(true)
    }

    /// Room for a message of `length` bytes, to be filled in place.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn reserve(&mut self, length: usize) -> Result<Reservation<'_, 'a>, SyncError> {
        let length = self.check(length)?;
        let position = match self.window.known_room(length) {
            Some(position) => position,
            None => self.find_room(length)?,
        };
        Ok(Reservation { sender: self, position, length })
    }

    #[inline(never)]
    fn find_room(&mut self, length: u32) -> Result<u32, SyncError> {
        if let Step::Ready(Ok(position)) = self.attempt(length, &mut Queue::default())? {
            return Ok(position);
        }
        self.reserve_slowly(length, Deadline::Never)?.ok_or(SyncError::NotHeld)
    }

    /// Room for a message if there is some now.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn try_reserve(&mut self, length: usize) -> Result<Option<Reservation<'_, 'a>>, SyncError> {
        let length = self.check(length)?;
        if let Some(position) = self.window.known_room(length) {
            return Ok(Some(Reservation { sender: self, position, length }));
        }
        if let Step::Ready(reserved) = self.attempt(length, &mut Queue::default())? {
            return Ok(reserved.ok().map(|position| Reservation { sender: self, position, length }));
        }
        self.reserve_from_the_dead(length)
    }

    // The lock of the other producers is never held for long, unless by one that died.
    #[cold]
    fn reserve_from_the_dead(&mut self, length: u32) -> Result<Option<Reservation<'_, 'a>>, SyncError> {
        let caller = self.channel.caller;
        let lock = LockWord(self.channel.ring.word(LOCK));
        if lock.attempt(self.owner, |owner| caller.is_alive(owner)).is_none() {
            return Ok(None);
        }
        lock.release(self.owner, 1)?;
        let Step::Ready(Ok(position)) = self.attempt(length, &mut Queue::default())? else {
            return Ok(None);
        };
        Ok(Some(Reservation { sender: self, position, length }))
    }

    /// Room for a message; `None` when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn reserve_timeout(
        &mut self,
        length: usize,
        timeout: Duration,
    ) -> Result<Option<Reservation<'_, 'a>>, SyncError> {
        let length = self.check(length)?;
        let reserved = self.reserve_slowly(length, Deadline::after(timeout))?;
        Ok(reserved.map(|position| Reservation { sender: self, position, length }))
    }

    /// Reserving in steps, for an event loop.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn reserve_step(
        &mut self,
        length: usize,
        reserving: &mut Reserving,
    ) -> Result<Step<'a, Reservation<'_, 'a>>, SyncError> {
        let length = self.check(length)?;
        Ok(match self.step(length, &mut reserving.0)? {
            Step::Ready(position) => Step::Ready(Reservation { sender: self, position, length }),
            Step::Wait(pause) => Step::Wait(pause),
        })
    }

    #[inline]
    fn check(&self, length: usize) -> Result<u32, SyncError> {
        if self.era != live::era() {
            return Err(SyncError::NotHeld); // by this child of a fork
        }
        let most = self.channel.max_message();
        match u32::try_from(length) {
            Ok(short) if length <= most => Ok(short),
            _ => Err(SyncError::TooLong { length, most }),
        }
    }

    /// A reservation that was [kept](Reservation::keep).
    ///
    /// # Errors
    ///
    /// [`SyncError::NotHeld`] in a fork's child.
    pub fn resume(&mut self, kept: Kept) -> Result<Reservation<'_, 'a>, SyncError> {
        if self.era != live::era() {
            return Err(SyncError::NotHeld);
        }
        let Kept { position, length } = kept;
        // One producer finds it where it was, as its head has not moved.
        if self.channel.producers == Producers::One
            && self.channel.ring.reserve_as_one(&mut self.window, length)? != Ok(position)
        {
            return Err(SyncError::NotHeld);
        }
        Ok(Reservation { sender: self, position, length })
    }

    /// Where the window of a sender is, for a binding that sends on its own within it: see [`SendWindow`]. It stays
    /// there for as long as the sender is not moved.
    ///
    /// # Safety
    ///
    /// There is a sender, and it is used through this pointer only, by one at a time.
    #[doc(hidden)]
    pub const unsafe fn window(sender: NonNull<Self>) -> NonNull<SendWindow> {
        // SAFETY: it is inside the sender, by the caller's promise.
        let window = unsafe { &raw mut (*sender.as_ptr()).window };
        // SAFETY: no part of what is there is at 0.
        unsafe { NonNull::new_unchecked(window) }
    }

    /// Wakes the consumer, if it may sleep: something was sent within the [window](Self::window).
    #[doc(hidden)]
    pub fn wake(&self) {
        self.channel.ring.wake_consumer();
    }

    fn attempt(&mut self, length: u32, queue: &mut Queue) -> Result<Step<'a, Result<u32, u32>>, SyncError> {
        let Channel { ring, caller, producers, .. } = self.channel;
        match producers {
            Producers::One => ring.reserve_as_one(&mut self.window, length).map(Step::Ready),
            Producers::Many => {
                ring.reserve_as_many(self.owner, length, queue, |owner| caller.is_alive(owner))
            }
        }
    }

    fn step(&mut self, length: u32, queue: &mut Queue) -> Result<Step<'a, u32>, SyncError> {
        Ok(match self.attempt(length, queue)? {
            Step::Ready(Ok(position)) => Step::Ready(position),
            Step::Ready(Err(tail)) => {
                // The next wait for the lock is another one.
                *queue = Queue::default();
                Step::Wait(self.channel.ring.wait_for_room(tail))
            }
            Step::Wait(pause) => Step::Wait(pause),
        })
    }

    #[cold]
    fn reserve_slowly(&mut self, length: u32, deadline: Deadline) -> Result<Option<u32>, SyncError> {
        let tail = self.channel.ring.word(TAIL);
        let mut queue = Queue::default();
        drive(deadline, || {
            let seen = match self.attempt(length, &mut queue)? {
                Step::Ready(Ok(position)) => return Ok(Step::Ready(position)),
                Step::Ready(Err(seen)) => seen,
                Step::Wait(pause) => return Ok(Step::Wait(pause)),
            };
            crate::protocol::cell::spin(|| tail.load(Ordering::Relaxed) != seen);
            self.step(length, &mut queue)
        })
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        if self.channel.producers == Producers::One && self.era == live::era() {
            // An error means that the bytes were overwritten; then there is nothing of ours to end.
            drop(LockWord(self.channel.ring.word(PRODUCER)).release(self.owner, 1));
        }
    }
}

/// Room for a message, ours until it is committed. Dropping it gives it up.
#[derive(Debug)]
#[must_use = "a message is sent by commit()"]
pub struct Reservation<'s, 'a> {
    sender: &'s mut Sender<'a>,
    position: u32,
    length: u32,
}

impl Reservation<'_, '_> {
    /// The message's length.
    #[expect(clippy::len_without_is_empty, reason = "the length that was asked for, not a container's")]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Where the message goes, aligned to 8 bytes.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        let channel = &self.sender.channel;
        channel.region.byte(channel.ring.offset(self.position) + RECORD)
    }

    /// Byte offset of the message, counted from the channel's first byte.
    pub fn offset(&self) -> usize {
        (self.sender.channel.ring.offset(self.position) + RECORD) as usize
    }

    /// Copies bytes into the message, from `offset` on; what does not fit is left out. Returns how many fit.
    #[inline]
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.len().saturating_sub(offset));
        if count > 0 {
            // SAFETY: `offset` is inside the message.
            let target = unsafe { self.as_ptr().add(offset) };
            // SAFETY: `count` bytes fit on both sides; no reference of ours spans a segment's bytes.
            unsafe { racy_copy(NonNull::from(bytes).cast(), target, count) };
        }
        count
    }

    /// The message's bytes.
    ///
    /// # Safety
    ///
    /// No other process writes to them, against the rules of the channel, while the slice lives.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the record is ours until it is committed, and the caller vouches for the others.
        unsafe { NonNull::slice_from_raw_parts(self.as_ptr(), self.len()).as_mut() }
    }

    /// Keeps the room until [`Sender::resume`]. One producer can send nothing else meanwhile: it would lie there.
    pub fn keep(self) -> Kept {
        let kept = Kept { position: self.position, length: self.length };
        // It is found again, and nobody sends within the window.
        self.sender.window.room = 0;
        std::mem::forget(self);
        kept
    }

    /// Sends the message.
    #[inline]
    pub fn commit(self) {
        let Self { position, length, .. } = self;
        let ring = self.sender.channel.ring;
        may_die_here!();
        match self.sender.channel.producers {
            Producers::One => ring.publish_as_one(&mut self.sender.window, position, length),
            Producers::Many => ring.commit_as_many(position, length),
        }
        std::mem::forget(self);
    }
}

impl Drop for Reservation<'_, '_> {
    fn drop(&mut self) {
        // One producer alone has published nothing yet.
        if self.sender.channel.producers == Producers::Many && self.sender.era == live::era() {
            self.sender.channel.ring.commit_as_many(self.position, self.length | SKIP);
        }
    }
}
