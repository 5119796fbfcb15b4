//! The producer's end of a broadcast.

use super::Broadcast;
use crate::protocol::layout::broadcast::STRUCTURE;
use crate::{
    Live, Owner, SyncError,
    bytes::Bytes,
    caller::{Caller, Named},
    live,
};
use std::ptr::NonNull;

/// Sends messages to all readers.
#[derive(Debug)]
pub struct Producer<'a> {
    broadcast: Broadcast<'a>,
    owner: Owner,
    generation: u32,
    next: u64,
}

impl<'a> Producer<'a> {
    pub(super) fn new(broadcast: Broadcast<'a>, live: &'static Live) -> Result<Self, SyncError> {
        broadcast.region.writable()?;
        STRUCTURE.check(broadcast.region, live)?;
        let caller = Caller::thread(live);
        let owner = broadcast.owner.map_or_else(|| caller.owner(), Named::owner)?;
        let next = broadcast.slots.begin_sending(owner, caller);
        let next = next.map_err(|holder| SyncError::Taken("producer", holder))?;
        Ok(Self { broadcast, owner, generation: live::generation(), next })
    }

    /// Sends a message, and returns its number. Never waits.
    ///
    /// # Errors
    ///
    /// [`SyncError::TooLong`] if the message is longer than `max_message` of the broadcast.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<u64, SyncError> {
        let mut draft = self.draft(message.len())?;
        draft.write(0, message);
        let number = draft.commit_ours();
        self.broadcast.region.sound(number)
    }

    /// Gives room for a message of `length` bytes, which you fill in place. It overwrites the oldest message. If you do
    /// not commit it, the next draft of the same length has the same bytes.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[inline]
    pub fn draft(&mut self, length: usize) -> Result<Draft<'_, 'a>, SyncError> {
        live::check_generation(self.generation)?;
        let most = self.broadcast.slots.max_message() as usize;
        let Some(short) = u32::try_from(length).ok().filter(|_| length <= most) else {
            return Err(SyncError::TooLong { length, most });
        };
        self.broadcast.slots.begin(self.next, short);
        let region = self.broadcast.region;
        region.sound(Draft { producer: self, length: short })
    }

    /// The number of the next message, which is the count of messages so far.
    pub const fn next(&self) -> u64 {
        self.next
    }
}

impl Drop for Producer<'_> {
    fn drop(&mut self) {
        if self.generation == live::generation() {
            self.broadcast.slots.end_sending(self.owner);
        }
    }
}

/// A message that is being written. If it is dropped, nothing is sent.
#[derive(Debug)]
#[must_use = "a message is sent by commit()"]
pub struct Draft<'p, 'a> {
    producer: &'p mut Producer<'a>,
    length: u32,
}

impl Draft<'_, '_> {
    /// The message's length.
    #[expect(clippy::len_without_is_empty, reason = "the length that was asked for, not a container's")]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Where the message goes, aligned to 8 bytes. Readers may read the bytes meanwhile; they notice that afterwards.
    #[inline]
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.producer.broadcast.region.byte(self.at())
    }

    /// Byte offset of the message, counted from the broadcast's first byte.
    pub fn offset(&self) -> usize {
        self.at() as usize
    }

    #[inline]
    const fn at(&self) -> u32 {
        self.producer.broadcast.slots.message(self.producer.next)
    }

    /// Copies bytes into the message, from `offset` on, up to its end. Returns how many bytes it copied.
    #[inline]
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> usize {
        self.bytes().write(offset, bytes)
    }

    #[inline]
    fn bytes(&self) -> Bytes {
        // SAFETY: the room of a slot lies in the region, whose memory outlives the producer.
        unsafe { Bytes::new(self.as_ptr(), self.len()) }
    }

    /// Sends the message, and returns its number. In the child of a fork, a draft of the parent is not sent.
    #[inline]
    pub fn commit(self) -> u64 {
        if self.producer.generation == live::generation() { self.commit_ours() } else { self.producer.next }
    }

    #[inline]
    fn commit_ours(self) -> u64 {
        let producer = self.producer;
        let number = producer.next;
        producer.broadcast.slots.publish(number);
        producer.next = number.wrapping_add(1);
        number
    }
}
