//! The consumer's end of a channel.

use super::{Channel, Kept};
use crate::protocol::{
    channel::consumer::{Consumer, ReceiveWindow, Record},
    layout::channel::RECORD,
};
use crate::{
    Step, SyncError,
    block::{Deadline, block, block_until},
    bytes::Bytes,
    live,
};
use std::{ptr::NonNull, time::Duration};

/// Receives messages, each once: in the order in which their room was reserved.
#[derive(Debug)]
pub struct Receiver<'a> {
    channel: Channel<'a>,
    generation: u32,
    consumer: Consumer,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(channel: Channel<'a>) -> Result<Self, SyncError> {
        let Channel { ring, caller, .. } = channel;
        let consumer = ring
            .begin_receiving(caller.owner()?, caller)
            .map_err(|holder| SyncError::Taken("consumer", holder))?;
        Ok(Self { channel, generation: live::generation(), consumer })
    }

    /// How many messages this receiver found incomplete, because their producers were killed.
    pub const fn lost(&self) -> u64 {
        self.consumer.lost
    }

    /// Receives the next message, and copies it to the end of `into`. Waits until there is one.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] if the bytes contradict each other.
    #[inline]
    pub fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), SyncError> {
        let message = self.peek()?;
        message.append_to(into);
        message.release_ours();
        self.channel.region.sound(())
    }

    /// Receives the next message, if there is one now; returns whether there was one.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn try_receive(&mut self, into: &mut Vec<u8>) -> Result<bool, SyncError> {
        let Some(message) = self.try_peek()? else { return Ok(false) };
        message.append_to(into);
        message.release_ours();
        self.channel.region.sound(true)
    }

    /// Receives the next message, or gives up when `timeout` is over; returns whether there was one.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_timeout(&mut self, into: &mut Vec<u8>, timeout: Duration) -> Result<bool, SyncError> {
        let Some(message) = self.peek_timeout(timeout)? else { return Ok(false) };
        message.append_to(into);
        message.release_ours();
        self.channel.region.sound(true)
    }

    /// Gives the next message, in place. Waits until there is one. If you do not release it, the next call gives it
    /// again.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn peek(&mut self) -> Result<Message<'_, 'a>, SyncError> {
        let record = match self.known_message() {
            Some(known) => known,
            None => self.find_message()?,
        };
        let region = self.channel.region;
        region.sound(Message { receiver: self, record })
    }

    #[inline]
    fn known_message(&self) -> Option<Record> {
        // Nothing is known in the child of a fork, or if a part of the segment was cut off.
        let is_ours = self.generation == live::generation();
        if is_ours && !self.channel.region.is_shrunk() {
            self.channel.ring.known_message(&self.consumer)
        } else {
            None
        }
    }

    #[inline(never)]
    fn find_message(&mut self) -> Result<Record, SyncError> {
        live::check_generation(self.generation)?;
        let Channel { ring, caller, .. } = self.channel;
        match ring.find(&mut self.consumer, caller)?.message() {
            Some(record) => Ok(record),
            None => self.wait_for_message(),
        }
    }

    #[cold]
    fn wait_for_message(&mut self) -> Result<Record, SyncError> {
        block(|| self.step_soon())
    }

    /// Gives the next message, in place, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn try_peek(&mut self) -> Result<Option<Message<'_, 'a>>, SyncError> {
        let record = match self.known_message() {
            Some(known) => Some(known),
            None => {
                live::check_generation(self.generation)?;
                let Channel { ring, caller, .. } = self.channel;
                let found = ring.find(&mut self.consumer, caller);
                self.channel.region.sound_result(found)?.message()
            }
        };
        let region = self.channel.region;
        region.sound(record.map(|record| Message { receiver: self, record }))
    }

    /// Gives the next message, in place; `None` if `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn peek_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_, 'a>>, SyncError> {
        let found = block_until(Deadline::after(timeout), || self.step_soon())?;
        Ok(found.map(|record| Message { receiver: self, record }))
    }

    /// Takes a step of [`peek`](Self::peek), for an event loop.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn peek_step(&mut self) -> Result<Step<'a, Message<'_, 'a>>, SyncError> {
        live::check_generation(self.generation)?;
        let Channel { ring, caller, .. } = self.channel;
        let step = ring.find_step(&mut self.consumer, caller);
        let step = self.channel.region.sound_result(step)?;
        Ok(step.map(|record| Message { receiver: self, record }))
    }

    fn step_soon(&mut self) -> Result<Step<'a, Record>, SyncError> {
        live::check_generation(self.generation)?;
        let Channel { ring, caller, .. } = self.channel;
        let step = ring.find_step_soon(&mut self.consumer, caller);
        self.channel.region.sound_result(step)
    }

    /// Returns a message that was [kept](Message::keep).
    ///
    /// # Errors
    ///
    /// [`SyncError::NotHeld`] if it was released.
    pub fn resume(&mut self, kept: Kept) -> Result<Message<'_, 'a>, SyncError> {
        match self.known_message() {
            Some(record) if Kept::from(record) == kept => Ok(Message { receiver: self, record }),
            _ => Err(SyncError::NotHeld),
        }
    }

    /// Returns the place of a receiver's window, for a binding that receives within it by itself: see
    /// [`ReceiveWindow`]. The window stays there as long as the receiver is not moved.
    ///
    /// # Safety
    ///
    /// `receiver` points to a receiver. The receiver is used only through this pointer, by one thread at a time.
    #[doc(hidden)]
    pub const unsafe fn window(receiver: NonNull<Self>) -> NonNull<ReceiveWindow> {
        // SAFETY: it is inside the receiver, by the caller's promise.
        let window = unsafe { &raw mut (*receiver.as_ptr()).consumer.window };
        // SAFETY: no part of what is there is at 0.
        unsafe { NonNull::new_unchecked(window) }
    }

    /// Wakes the producers, if they may sleep: something was received within the [window](Self::window).
    #[doc(hidden)]
    pub fn wake(&self) {
        self.channel.ring.wake_producers();
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        if self.generation == live::generation() {
            self.channel.ring.end_receiving(&self.consumer);
        }
    }
}

/// A message in place. It stays there until it is released.
#[derive(Debug)]
#[must_use = "a message stays in the channel until release()"]
pub struct Message<'r, 'a> {
    receiver: &'r mut Receiver<'a>,
    record: Record,
}

impl Message<'_, '_> {
    /// Its length.
    pub const fn len(&self) -> usize {
        self.record.length as usize
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.record.length == 0
    }

    /// Where it begins, aligned to 8 bytes.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        let channel = &self.receiver.channel;
        channel.region.byte(channel.ring.offset(self.record.position) + RECORD)
    }

    /// Byte offset of the message, counted from the channel's first byte.
    pub fn offset(&self) -> usize {
        (self.receiver.channel.ring.offset(self.record.position) + RECORD) as usize
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
        // SAFETY: the message lies in the ring, whose memory outlives the receiver.
        unsafe { Bytes::new(self.as_ptr(), self.len()) }
    }

    /// Its bytes.
    ///
    /// # Safety
    ///
    /// No other process writes to them, against the rules of the channel, while the slice lives.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: producers leave it alone until it is released, and the caller vouches for the others.
        unsafe { NonNull::slice_from_raw_parts(self.as_ptr(), self.len()).as_ref() }
    }

    /// Keeps it in place until [`Receiver::resume`].
    pub fn keep(self) -> Kept {
        self.record.into()
    }

    /// Releases the message: its room is free for other messages. In the child of a fork, a message of the parent
    /// stays.
    #[inline]
    pub fn release(self) {
        if self.receiver.generation == live::generation() {
            self.release_ours();
        }
    }

    #[inline]
    fn release_ours(self) {
        self.receiver.channel.ring.release(&mut self.receiver.consumer, self.record);
    }
}
