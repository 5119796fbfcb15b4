//! The slots and the head: who may read what, and how a reader finds out that it was overtaken.
//!
//! Messages are numbered from 0, with 64 bits. Message `n` lies in slot `n % slots`. The producer stamps the
//! slot with the low half of `n + 1` before it writes, and moves the head to `n + 1` when it has written. So
//! a message below the head is whole as long as its slot bears its stamp.

pub(crate) mod layout;

use self::layout::*;
use crate::protocol::{
    cell::{AtomicU32, Ordering, Words},
    event_count::EventCount,
    step::Pause,
};
use crate::storm::may_die_here;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest<W> {
    words: W,
    slots: u32,
    stride: u32,
}

const fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

impl<'a, W: Words<'a>> Latest<W> {
    /// `words` reach up to `DATA + slots * stride`, and `slots` is a power of two.
    pub(crate) const fn new(words: W, slots: u32, stride: u32) -> Self {
        Self { words, slots, stride }
    }

    pub(crate) const fn count(&self) -> u32 {
        self.slots
    }

    pub(crate) fn word(&self, offset: u32) -> &'a AtomicU32 {
        self.words.word(offset)
    }

    /// Byte offset of the slot of message `number`.
    #[inline]
    pub(crate) const fn offset(&self, number: u64) -> u32 {
        DATA + (halves(number).1 & (self.slots - 1)) * self.stride
    }

    #[inline]
    fn stamp(&self, number: u64) -> &'a AtomicU32 {
        self.words.word(self.offset(number))
    }

    #[inline]
    pub(crate) fn length(&self, number: u64) -> &'a AtomicU32 {
        self.words.word(self.offset(number) + LENGTH)
    }

    /// How many messages there have been. `None` at the moment when the upper half changes.
    #[inline]
    pub(crate) fn head(&self) -> Option<u64> {
        let again = self.words.word(HEAD_HIGH_AGAIN).load(Ordering::Acquire);
        let low = self.words.word(HEAD_LOW).load(Ordering::Acquire);
        let high = self.words.word(HEAD_HIGH).load(Ordering::Acquire);
        (high == again).then_some(u64::from(high) << 32 | u64::from(low))
    }

    /// The head, for one who is the producer now: the one before may have died while moving it.
    pub(crate) fn repair_head(&self) -> u64 {
        let low = self.words.word(HEAD_LOW).load(Ordering::Acquire);
        // The upper half goes up when the lower one goes from its largest value to 0.
        let high = if low > u32::MAX / 2 { HEAD_HIGH_AGAIN } else { HEAD_HIGH };
        let high = self.words.word(high).load(Ordering::Acquire);
        self.words.word(HEAD_HIGH).store(high, Ordering::Release);
        self.words.word(HEAD_HIGH_AGAIN).store(high, Ordering::Release);
        u64::from(high) << 32 | u64::from(low)
    }

    /// From here on the slot's message before this one cannot be read any more.
    #[inline]
    pub(crate) fn begin(&self, number: u64) {
        self.stamp(number).store(halves(number.wrapping_add(1)).1, Ordering::Relaxed);
        may_die_here!();
        // Nothing of the new message is seen before the stamp is.
        crate::protocol::cell::fence(Ordering::Release);
    }

    /// The message is whole.
    #[inline]
    pub(crate) fn publish(&self, number: u64) {
        let (before, _) = halves(number);
        let (high, low) = halves(number.wrapping_add(1));
        may_die_here!();
        if high != before {
            self.words.word(HEAD_HIGH).store(high, Ordering::Release);
            may_die_here!();
        }
        self.words.word(HEAD_LOW).swap(low, Ordering::SeqCst);
        may_die_here!();
        if high != before {
            self.words.word(HEAD_HIGH_AGAIN).store(high, Ordering::Release);
        }
        EventCount(self.words.word(READERS_EVENT)).notify();
    }

    /// Whether message `number`, below the head, is in its slot.
    #[inline]
    pub(crate) fn is_there(&self, number: u64) -> bool {
        self.stamp(number).load(Ordering::Acquire) == halves(number.wrapping_add(1)).1
    }

    /// Whether it still is, and so what was read of it meanwhile is whole.
    #[inline]
    pub(crate) fn is_still_there(&self, number: u64) -> bool {
        crate::protocol::cell::fence(Ordering::Acquire);
        self.stamp(number).load(Ordering::Relaxed) == halves(number.wrapping_add(1)).1
    }

    /// The pause of a reader that has seen all messages before `number`.
    pub(crate) fn wait_for(&self, number: u64) -> Pause<'a> {
        let head = self.words.word(HEAD_LOW);
        EventCount(self.words.word(READERS_EVENT)).prepare(|| head.load(Ordering::SeqCst) != halves(number).1)
    }
}
