//! A ring of bytes: positions and records. [`producer`] and [`consumer`] are its two sides.
//!
//! Positions are byte counts that wrap around at 2^32, always multiples of 8. A record lies in one piece; where
//! it does not fit before the ring's end, a record to skip fills the rest.

pub(crate) mod consumer;
pub(crate) mod producer;

use super::{
    event_count::EventCount,
    layout::channel::{
        CONSUMER, CONSUMER_EVENT, DATA, HEAD, OWNER, PRODUCER, PRODUCERS_EVENT, RECORD, STRUCTURE, TAIL,
    },
    memory::{AtomicU32, Memory},
    mutex::LockWord,
    stamp::Damaged,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<M> {
    pub(crate) memory: M,
    capacity: u32,
}

const fn damaged(how: &'static str) -> Damaged {
    STRUCTURE.damaged(how)
}

impl<'a, M: Memory<'a>> Ring<M> {
    /// `memory` reaches up to `DATA + capacity`, and `capacity` is a power of two.
    pub(crate) fn new(memory: M, capacity: u32) -> Self {
        Self { memory, capacity }
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The longest message.
    pub(crate) const fn max_message(&self) -> u32 {
        self.capacity / 2 - RECORD
    }

    #[inline]
    fn head(&self) -> &'a AtomicU32 {
        self.memory.word(HEAD)
    }

    #[inline]
    pub(crate) fn tail(&self) -> &'a AtomicU32 {
        self.memory.word(TAIL)
    }

    /// The owner word of the only producer.
    pub(crate) fn only_producer(&self) -> LockWord<'a, M> {
        LockWord::at(self.memory, PRODUCER)
    }

    /// The owner word of the consumer.
    pub(crate) fn only_consumer(&self) -> LockWord<'a, M> {
        LockWord::at(self.memory, CONSUMER)
    }

    #[inline]
    fn consumer_event(&self) -> EventCount<'a, M> {
        EventCount::at(self.memory, CONSUMER_EVENT)
    }

    #[inline]
    fn producers_event(&self) -> EventCount<'a, M> {
        EventCount::at(self.memory, PRODUCERS_EVENT)
    }

    /// Something was sent.
    #[inline]
    pub(crate) fn wake_consumer(&self) {
        self.consumer_event().notify();
    }

    /// Something was received.
    #[inline]
    pub(crate) fn wake_producers(&self) {
        self.producers_event().notify();
    }

    /// Byte offset of the record at `position`.
    #[inline]
    pub(crate) fn offset(&self, position: u32) -> u32 {
        // The mask keeps it inside whatever the position, and aligned.
        DATA + (position & (self.capacity - 8))
    }

    #[inline]
    fn header(&self, position: u32) -> &'a AtomicU32 {
        self.memory.word(self.offset(position))
    }

    #[inline]
    fn owner(&self, position: u32) -> &'a AtomicU32 {
        self.memory.word(self.offset(position) + OWNER)
    }

    #[inline]
    fn until_end(&self, position: u32) -> u32 {
        self.capacity - (position & (self.capacity - 1))
    }

    /// How far `head` is ahead of `tail`; `None` if that is impossible.
    #[inline]
    fn used(&self, head: u32, tail: u32) -> Result<u32, Damaged> {
        let used = head.wrapping_sub(tail);
        if used > self.capacity || !(head | tail).is_multiple_of(8) {
            return Err(damaged("its positions are impossible"));
        }
        Ok(used)
    }
}
