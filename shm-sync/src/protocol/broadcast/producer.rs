//! How a message is sent: its slot is stamped and written, and then the head moves.

use super::{Latest, halves};
use crate::protocol::{
    layout::broadcast::{HEAD_HIGH, HEAD_HIGH_AGAIN, HEAD_LOW},
    memory::{Memory, Ordering, fence},
    owner::Owner,
    step::Peers,
};
use shm_lifetime::fault;

impl<'a, M: Memory<'a>> Latest<M> {
    /// Becomes the producer, and returns the number of the next message; or returns the current producer.
    pub(crate) fn begin_sending(&self, owner: Owner, peers: impl Peers) -> Result<u64, Owner> {
        let word = self.only_producer();
        word.attempt(owner, peers).ok_or_else(|| word.owner())?;
        Ok(self.repair_head())
    }

    pub(crate) fn end_sending(&self, owner: Owner) {
        // An error means that the bytes were overwritten; then there is nothing of ours to end.
        drop(self.only_producer().release(owner, 1));
    }

    // The previous producer may have died while moving the head.
    fn repair_head(&self) -> u64 {
        let low = self.memory.word(HEAD_LOW).load(Ordering::Acquire);
        // The upper half goes up when the lower one goes from its largest value to 0.
        let high = if low > u32::MAX / 2 { HEAD_HIGH_AGAIN } else { HEAD_HIGH };
        let high = self.memory.word(high).load(Ordering::Acquire);
        self.memory.word(HEAD_HIGH).store(high, Ordering::Release);
        self.memory.word(HEAD_HIGH_AGAIN).store(high, Ordering::Release);
        u64::from(high) << 32 | u64::from(low)
    }

    /// From here on the slot's message before this one cannot be read any more.
    #[inline]
    pub(crate) fn begin(&self, number: u64, length: u32) {
        self.stamp(number).store(halves(number.wrapping_add(1)).1, Ordering::Relaxed);
        fault::step();
        // Nothing of the new message is seen before the stamp is.
        fence(Ordering::Release);
        self.length(number).store(length, Ordering::Relaxed);
    }

    /// The message is whole.
    #[inline]
    pub(crate) fn publish(&self, number: u64) {
        let (before, _) = halves(number);
        let (high, low) = halves(number.wrapping_add(1));
        fault::step();
        if high != before {
            self.memory.word(HEAD_HIGH).store(high, Ordering::Release);
            fault::step();
        }
        self.memory.word(HEAD_LOW).swap(low, Ordering::SeqCst);
        fault::step();
        if high != before {
            self.memory.word(HEAD_HIGH_AGAIN).store(high, Ordering::Release);
        }
        self.readers_event().notify();
    }
}
