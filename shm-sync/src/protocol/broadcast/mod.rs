//! Slots and a head: what a reader may read, and how it finds out that the message was overwritten.
//!
//! Messages are numbered from 0, with 64 bits. Message `n` lies in slot `n % slots`. The producer stamps the
//! slot with the low half of `n + 1` before it writes, and moves the head to `n + 1` when it has written. So
//! a message below the head is whole as long as its slot bears its stamp.

pub(crate) mod producer;
pub(crate) mod reader;

use super::{
    event_count::EventCount,
    layout::broadcast::{
        DATA, HEAD_HIGH, HEAD_HIGH_AGAIN, HEAD_LOW, LENGTH, MESSAGE, PRODUCER, READERS_EVENT,
    },
    memory::{AtomicU32, Memory, Ordering},
    mutex::LockWord,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest<M> {
    pub(crate) memory: M,
    slots: u32,
    stride: u32,
    max_message: u32,
}

const fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

/// How many messages there have been; `None` at the moment when the upper half changes.
#[inline]
pub(crate) const fn head_of(high: u32, low: u32, again: u32) -> Option<u64> {
    if high == again { Some((high as u64) << 32 | low as u64) } else { None }
}

impl<'a, M: Memory<'a>> Latest<M> {
    /// `memory` reaches up to `DATA + slots * stride`, `slots` is a power of two, and a slot has room for the longest
    /// message.
    pub(crate) const fn new(memory: M, slots: u32, stride: u32, max_message: u32) -> Self {
        Self { memory, slots, stride, max_message }
    }

    pub(crate) const fn slots(&self) -> u32 {
        self.slots
    }

    pub(crate) const fn max_message(&self) -> u32 {
        self.max_message
    }

    /// The owner word of the producer.
    pub(crate) fn only_producer(&self) -> LockWord<'a, M> {
        LockWord::at(self.memory, PRODUCER)
    }

    fn readers_event(&self) -> EventCount<'a, M> {
        EventCount::at(self.memory, READERS_EVENT)
    }

    /// Byte offset of message `number`.
    #[inline]
    pub(crate) const fn message(&self, number: u64) -> u32 {
        self.slot(number) + MESSAGE
    }

    #[inline]
    const fn slot(&self, number: u64) -> u32 {
        DATA + (halves(number).1 & (self.slots - 1)) * self.stride
    }

    #[inline]
    fn stamp(&self, number: u64) -> &'a AtomicU32 {
        self.memory.word(self.slot(number))
    }

    #[inline]
    fn length(&self, number: u64) -> &'a AtomicU32 {
        self.memory.word(self.slot(number) + LENGTH)
    }

    /// How many messages there have been. `None` at the moment when the upper half changes.
    #[inline]
    fn head(&self) -> Option<u64> {
        let again = self.memory.word(HEAD_HIGH_AGAIN).load(Ordering::Acquire);
        let low = self.memory.word(HEAD_LOW).load(Ordering::Acquire);
        let high = self.memory.word(HEAD_HIGH).load(Ordering::Acquire);
        head_of(high, low, again)
    }
}
