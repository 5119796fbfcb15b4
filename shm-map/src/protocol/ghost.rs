//! Whom the small ring has evicted of late: hashes only, and when. An entry that comes back soon goes to the main ring.
//!
//! A bucket has four words, the newest first: the upper half is a fingerprint of the hash, the lower half the time, in
//! evictions from the small ring of this shard, without its lowest bits.

use super::{
    geometry::GHOST_BUCKET,
    layout::shard::{ENTRIES, GHOST_CLOCK},
    memory::{Memory, Ordering},
    shard::Shard,
};

const WAYS: usize = GHOST_BUCKET as usize / 4;

impl<'a, M: Memory<'a>> Shard<'a, M> {
    fn ghosts(&self, hash: u32) -> Option<(usize, u32)> {
        let buckets = u64::from(self.core.geometry.sizes.ghosts);
        if buckets == 0 {
            return None;
        }
        let mixed = hash.wrapping_mul(0x9e37_79b1);
        let bucket = ((u64::from(mixed) * buckets) >> 32) as usize;
        Some((self.core.geometry.ghosts(self.number) + bucket * GHOST_BUCKET as usize, hash << 16))
    }

    /// How many bits a time leaves out: a table is 256 times long, or shorter.
    fn grain(&self) -> u32 {
        let ghosts = u64::from(self.core.geometry.sizes.ghosts) * WAYS as u64;
        (u64::BITS - ghosts.leading_zeros()).saturating_sub(8)
    }

    fn time(&self) -> u32 {
        (self.load(GHOST_CLOCK) >> self.grain()) as u32 & 0xffff
    }

    /// An entry with this hash was evicted from the small ring.
    pub(crate) fn remember(&self, hash: u32) {
        let Some((bucket, fingerprint)) = self.ghosts(hash) else { return };
        self.add(GHOST_CLOCK, 1);
        let word = |way: usize| self.core.memory.word(bucket + way * 4);
        for way in (1..WAYS).rev() {
            word(way).store(word(way - 1).load(Ordering::Relaxed), Ordering::Relaxed);
        }
        word(0).store(fingerprint | self.time(), Ordering::Relaxed);
    }

    /// Whether an entry with this hash was evicted from the small ring of late; it is forgotten.
    pub(crate) fn recall(&self, hash: u32) -> bool {
        let Some((bucket, fingerprint)) = self.ghosts(hash) else { return false };
        let oldest = self.load(ENTRIES) >> self.grain();
        for way in 0..WAYS {
            let word = self.core.memory.word(bucket + way * 4);
            let found = word.load(Ordering::Relaxed);
            if found != 0 && found & 0xffff_0000 == fingerprint {
                word.store(0, Ordering::Relaxed);
                return u64::from(self.time().wrapping_sub(found) & 0xffff) <= oldest;
            }
        }
        false
    }
}
