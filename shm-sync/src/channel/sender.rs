//! The producer's end of a channel.

use super::{Channel, Kept, Producers};
use crate::protocol::{
    channel::producer::{Producer, SendWindow},
    layout::channel::RECORD,
    mutex::LockState,
};
use crate::{
    Step, SyncError,
    block::{Deadline, block, block_until},
    bytes::Bytes,
    live,
};
use std::{ptr::NonNull, time::Duration};

/// Sends messages.
#[derive(Debug)]
pub struct Sender<'a> {
    channel: Channel<'a>,
    generation: u32,
    producer: Producer,
}

/// What a [`Sender`] that waits for room remembers between steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserving(LockState);

impl<'a> Sender<'a> {
    pub(super) fn new(channel: Channel<'a>) -> Result<Self, SyncError> {
        let Channel { ring, caller, .. } = channel;
        let owner = caller.owner()?;
        let producer = match channel.producers {
            Producers::Many => Producer::of_many(owner),
            Producers::One => {
                ring.begin_sending(owner, caller).map_err(|holder| SyncError::Taken("producer", holder))?
            }
        };
        Ok(Self { channel, generation: live::generation(), producer })
    }

    /// Sends a message, and waits for room for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`SyncError::TooLong`] if the message is longer than [`max_message`](Channel::max_message).
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<(), SyncError> {
        let mut reservation = self.reserve(message.len())?;
        reservation.write(0, message);
        reservation.commit_ours();
        self.channel.region.sound(())
    }

    /// Sends a message if there is room now; returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<bool, SyncError> {
        let Some(mut reservation) = self.try_reserve(message.len())? else { return Ok(false) };
        reservation.write(0, message);
        reservation.commit_ours();
        self.channel.region.sound(true)
    }

    /// Sends a message, or gives up when `timeout` is over; returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<bool, SyncError> {
        let Some(mut reservation) = self.reserve_timeout(message.len(), timeout)? else { return Ok(false) };
        reservation.write(0, message);
        reservation.commit_ours();
        self.channel.region.sound(true)
    }

    /// Reserves room for a message of `length` bytes, which you fill in place. Waits until there is room.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn reserve(&mut self, length: usize) -> Result<Reservation<'_, 'a>, SyncError> {
        let length = self.check(length)?;
        let position = match self.producer.known_room(length) {
            Some(position) => position,
            None => self.find_room(length)?,
        };
        Ok(Reservation { sender: self, position, length })
    }

    #[inline(never)]
    fn find_room(&mut self, length: u32) -> Result<u32, SyncError> {
        let (Channel { ring, caller, .. }, mut state) = (self.channel, LockState::default());
        let reserved = ring.reserve(&mut self.producer, length, &mut state, caller);
        if let Step::Ready(Ok(position)) = self.channel.region.sound_result(reserved)? {
            return Ok(position);
        }
        self.wait_for_room(length, state)
    }

    #[cold]
    fn wait_for_room(&mut self, length: u32, mut state: LockState) -> Result<u32, SyncError> {
        block(|| self.step_soon(length, &mut state))
    }

    /// Reserves room for a message, if there is room now.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn try_reserve(&mut self, length: usize) -> Result<Option<Reservation<'_, 'a>>, SyncError> {
        let length = self.check(length)?;
        let position = match self.producer.known_room(length) {
            Some(position) => Some(position),
            None => {
                let Channel { ring, caller, .. } = self.channel;
                let reserved = ring.attempt_reserve(&mut self.producer, length, caller);
                self.channel.region.sound_result(reserved)?
            }
        };
        Ok(position.map(|position| Reservation { sender: self, position, length }))
    }

    /// Reserves room for a message; `None` if `timeout` is over.
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
        let mut state = LockState::default();
        let reserved = block_until(Deadline::after(timeout), || self.step_soon(length, &mut state))?;
        Ok(reserved.map(|position| Reservation { sender: self, position, length }))
    }

    /// Takes a step of [`reserve`](Self::reserve), for an event loop.
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
        let Channel { ring, caller, .. } = self.channel;
        let step = ring.reserve_step(&mut self.producer, length, &mut reserving.0, caller);
        let step = self.channel.region.sound_result(step)?;
        Ok(step.map(|position| Reservation { sender: self, position, length }))
    }

    #[inline]
    fn check(&self, length: usize) -> Result<u32, SyncError> {
        live::check_generation(self.generation)?;
        let most = self.channel.max_message();
        self.channel.region.sound_result(match u32::try_from(length) {
            Ok(short) if length <= most => Ok(short),
            _ => Err(SyncError::TooLong { length, most }),
        })
    }

    /// Returns a reservation that was [kept](Reservation::keep).
    ///
    /// # Errors
    ///
    /// [`SyncError::NotHeld`] if it belongs to another sender; [`SyncError::Forked`] in the child of a fork.
    pub fn resume(&mut self, kept: Kept) -> Result<Reservation<'_, 'a>, SyncError> {
        live::check_generation(self.generation)?;
        let (Kept { position, length }, Channel { ring, caller, region, .. }) = (kept, self.channel);
        let is_reserved = if self.producer.is_only() {
            // It is found where it was, as the head has not moved.
            let reserved = ring.attempt_reserve(&mut self.producer, length, caller);
            region.sound_result(reserved)? == Some(position)
        } else {
            region.sound(ring.is_reserved(&self.producer, position, length))?
        };
        if is_reserved { Ok(Reservation { sender: self, position, length }) } else { Err(SyncError::NotHeld) }
    }

    /// Returns the place of a sender's window, for a binding that sends within it by itself: see [`SendWindow`]. The
    /// window stays there as long as the sender is not moved.
    ///
    /// # Safety
    ///
    /// `sender` points to a sender. The sender is used only through this pointer, by one thread at a time.
    #[doc(hidden)]
    pub const unsafe fn window(sender: NonNull<Self>) -> NonNull<SendWindow> {
        // SAFETY: it is inside the sender, by the caller's promise.
        let window = unsafe { &raw mut (*sender.as_ptr()).producer.window };
        // SAFETY: no part of what is there is at 0.
        unsafe { NonNull::new_unchecked(window) }
    }

    /// Wakes the consumer, if it may sleep: something was sent within the [window](Self::window).
    #[doc(hidden)]
    pub fn wake(&self) {
        self.channel.ring.wake_consumer();
    }

    fn step_soon(&mut self, length: u32, state: &mut LockState) -> Result<Step<'a, u32>, SyncError> {
        let Channel { ring, caller, .. } = self.channel;
        let step = ring.reserve_step_soon(&mut self.producer, length, state, caller);
        self.channel.region.sound_result(step)
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        if self.generation == live::generation() {
            self.channel.ring.end_sending(&self.producer);
        }
    }
}

/// Room for a message. Fill it and commit it. If you drop it, nothing is sent.
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

    /// Copies bytes into the message, from `offset` on, up to its end. Returns how many bytes it copied.
    #[inline]
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        self.bytes().write(offset, bytes)
    }

    #[inline]
    fn bytes(&self) -> Bytes {
        // SAFETY: the room lies in the ring, whose memory outlives the sender.
        unsafe { Bytes::new(self.as_ptr(), self.len()) }
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

    /// Keeps the room until [`Sender::resume`]. In a channel with one producer, do not send anything else meanwhile: it
    /// would be written to the same room.
    pub fn keep(self) -> Kept {
        let kept = Kept { position: self.position, length: self.length };
        // It is found again, and nobody sends within the window.
        self.sender.producer.window.room = 0;
        std::mem::forget(self);
        kept
    }

    /// Sends the message. In the child of a fork, a reservation of the parent is not sent.
    #[inline]
    pub fn commit(self) {
        if self.sender.generation == live::generation() {
            self.commit_ours();
        }
    }

    #[inline]
    fn commit_ours(self) {
        let Self { position, length, .. } = self;
        let ring = self.sender.channel.ring;
        ring.commit(&mut self.sender.producer, position, length);
        std::mem::forget(self);
    }
}

impl Drop for Reservation<'_, '_> {
    fn drop(&mut self) {
        if self.sender.generation == live::generation() {
            self.sender.channel.ring.give_up(&self.sender.producer, self.position, self.length);
        }
    }
}
