//! The consumer's end of a channel.

use super::{Channel, Kept};
use crate::protocol::ring::{
    Consumer, Found, ReceiveWindow,
    layout::{CONSUMER, RECORD},
};
use crate::protocol::{
    lock_word::LockWord,
    step::{Deadline, drive},
};
use crate::{Owner, Step, SyncError, live};
use shm_api::racy_copy;
use std::{ptr::NonNull, time::Duration};

/// Receives messages, each once: in the order in which their room was reserved.
#[derive(Debug)]
pub struct Receiver<'a> {
    channel: Channel<'a>,
    owner: Owner,
    era: u32,
    consumer: Consumer,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(channel: Channel<'a>) -> Result<Self, SyncError> {
        let owner = channel.caller.owner()?;
        LockWord(channel.ring.word(CONSUMER))
            .attempt(owner, |owner| channel.caller.is_alive(owner))
            .ok_or_else(|| SyncError::taken("consumer", channel.ring.word(CONSUMER)))?;
        Ok(Self { channel, owner, era: live::era(), consumer: channel.ring.consumer() })
    }

    /// How many messages this receiver found that their producers had been killed in the middle of.
    pub const fn lost(&self) -> u64 {
        self.consumer.lost
    }

    /// The next message, copied to the end of `into`; waits for it for as long as that takes.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] where the bytes make no sense.
    #[inline]
    pub fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), SyncError> {
        let message = self.peek()?;
        message.append_to(into);
        message.release();
        Ok(())
    }

    /// The next message, if there is one now; tells whether there was.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn try_receive(&mut self, into: &mut Vec<u8>) -> Result<bool, SyncError> {
        let Some(message) = self.try_peek()? else { return Ok(false) };
        message.append_to(into);
        message.release();
        Ok(true)
    }

    /// The next message, or not when `timeout` is over; tells whether there was one.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_timeout(&mut self, into: &mut Vec<u8>, timeout: Duration) -> Result<bool, SyncError> {
        let Some(message) = self.peek_timeout(timeout)? else { return Ok(false) };
        message.append_to(into);
        message.release();
        Ok(true)
    }

    /// The next message, in place. Unless released, it is there again the next time.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn peek(&mut self) -> Result<Message<'_, 'a>, SyncError> {
        let (position, length) = match self.known_message() {
            Some(known) => known,
            None => self.peek_slowly(Deadline::Never)?.ok_or(SyncError::NotHeld)?,
        };
        Ok(Message { receiver: self, position, length })
    }

    #[inline]
    fn known_message(&self) -> Option<(u32, u32)> {
        // A child of a fork knows none.
        if self.era == live::era() { self.channel.ring.known_message(&self.consumer) } else { None }
    }

    /// The next message, in place, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    #[inline]
    pub fn try_peek(&mut self) -> Result<Option<Message<'_, 'a>>, SyncError> {
        if let Some((position, length)) = self.known_message() {
            return Ok(Some(Message { receiver: self, position, length }));
        }
        Ok(match self.find()? {
            Found::Message { position, length } => Some(Message { receiver: self, position, length }),
            _ => None,
        })
    }

    /// The next message, in place; `None` when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn peek_timeout(&mut self, timeout: Duration) -> Result<Option<Message<'_, 'a>>, SyncError> {
        let found = self.peek_slowly(Deadline::after(timeout))?;
        Ok(found.map(|(position, length)| Message { receiver: self, position, length }))
    }

    /// Peeking in steps, for an event loop.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn peek_step(&mut self) -> Result<Step<'a, Message<'_, 'a>>, SyncError> {
        Ok(match self.find()? {
            Found::Message { position, length } => Step::Ready(Message { receiver: self, position, length }),
            found => Step::Wait(self.channel.ring.wait_for_message(&mut self.consumer, found)),
        })
    }

    fn find(&mut self) -> Result<Found, SyncError> {
        if self.era != live::era() {
            return Err(SyncError::NotHeld); // by this child of a fork
        }
        let caller = self.channel.caller;
        self.channel.ring.find(&mut self.consumer, |owner| caller.is_alive(owner))
    }

    /// A message that was [kept](Message::keep).
    ///
    /// # Errors
    ///
    /// [`SyncError::NotHeld`] where it was released.
    pub fn resume(&mut self, kept: Kept) -> Result<Message<'_, 'a>, SyncError> {
        match self.known_message() {
            Some((position, length)) if (Kept { position, length }) == kept => {
                Ok(Message { receiver: self, position, length })
            }
            _ => Err(SyncError::NotHeld),
        }
    }

    /// Where the window of a receiver is, for a binding that receives on its own within it: see [`ReceiveWindow`]. It
    /// stays there for as long as the receiver is not moved.
    ///
    /// # Safety
    ///
    /// There is a receiver, and it is used through this pointer only, by one at a time.
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

    #[cold]
    fn peek_slowly(&mut self, deadline: Deadline) -> Result<Option<(u32, u32)>, SyncError> {
        let ring = self.channel.ring;
        drive(deadline, || {
            let mut found = self.find()?;
            if !matches!(found, Found::Message { .. }) && ring.spin_for_message(&mut self.consumer, found) {
                found = self.find()?;
            }
            Ok(match found {
                Found::Message { position, length } => Step::Ready((position, length)),
                found => Step::Wait(ring.wait_for_message(&mut self.consumer, found)),
            })
        })
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        if self.era == live::era() {
            // An error means that the bytes were overwritten; then there is nothing of ours to end.
            drop(LockWord(self.channel.ring.word(CONSUMER)).release(self.owner, 1));
        }
    }
}

/// A message, in place until it is released.
#[derive(Debug)]
#[must_use = "a message stays in the channel until release()"]
pub struct Message<'r, 'a> {
    receiver: &'r mut Receiver<'a>,
    position: u32,
    length: u32,
}

impl Message<'_, '_> {
    /// Its length.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where it begins, aligned to 8 bytes.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        let channel = &self.receiver.channel;
        channel.region.byte(channel.ring.offset(self.position) + RECORD)
    }

    /// Byte offset of the message, counted from the channel's first byte.
    pub fn offset(&self) -> usize {
        (self.receiver.channel.ring.offset(self.position) + RECORD) as usize
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
        Kept { position: self.position, length: self.length }
    }

    /// Done with it: its room is free for others.
    #[inline]
    pub fn release(self) {
        let Self { position, length, .. } = self;
        self.receiver.channel.ring.release(&mut self.receiver.consumer, position, length);
    }
}
