//! The index: buckets of a cache line each, which all shards share.
//!
//! A key belongs in one of two buckets. Where both are full, it lies in one of those behind the second, and the buckets
//! that it passed count it. So every key finds a slot as long as one is free, and nothing that is there is ever
//! displaced. A slot is one word of 64 bits: only the owner of the shard that its tag tells changes it, and a free one
//! is taken by compare-and-swap.

use super::{
    Core,
    layout::bucket::{FREQUENCIES, PASSES, SLOTS},
    memory::{AtomicU8, AtomicU64, Memory, Ordering},
};

/// The most that a frequency counts.
const WANTED: u8 = 3;

/// A slot, and how many buckets its key passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: u32,
    pub(crate) slot: usize,
    passed: u32,
}

impl Place {
    /// A slot, for one who only reads.
    pub(crate) const fn at(bucket: u32, slot: usize) -> Self {
        Self { bucket, slot, passed: 0 }
    }
}

/// The buckets in which a key may lie, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    first: u32,
    second: u32,
    step: u32,
}

impl Path {
    /// The bucket that is `passed` behind the second.
    const fn behind(&self, passed: u32, buckets: u32) -> u32 {
        let bucket = self.second as u64 + passed as u64;
        if bucket >= buckets as u64 { (bucket - buckets as u64) as u32 } else { bucket as u32 }
    }

    /// How many buckets the last one given lies behind the second.
    #[inline]
    pub(crate) const fn passed(&self) -> u32 {
        self.step.saturating_sub(2)
    }
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    #[inline]
    pub(crate) fn path(&self, hash: u32) -> Path {
        let buckets = u64::from(self.geometry.sizes.buckets);
        let scaled = |hash: u32| ((u64::from(hash) * buckets) >> 32) as u32;
        let mixed = (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d);
        Path { first: scaled(hash), second: scaled(mixed ^ mixed >> 12), step: 0 }
    }

    /// Begins to fetch both buckets of a path at once: about half of all keys lie in the second.
    #[inline]
    pub(crate) fn prefetch(&self, path: &Path) {
        self.memory.prefetch(self.geometry.bucket(path.first));
        self.memory.prefetch(self.geometry.bucket(path.second));
    }

    /// The next bucket of a path in which the key may lie. There are at most as many as the index has, and two.
    #[inline]
    pub(crate) fn next_bucket(&self, path: &mut Path) -> Option<u32> {
        let step = path.step;
        path.step += 1;
        if step < 2 {
            return Some(if step == 0 { path.first } else { path.second });
        }
        self.next_behind(path, step - 2)
    }

    #[inline]
    fn next_behind(&self, path: &Path, passed: u32) -> Option<u32> {
        let buckets = self.geometry.sizes.buckets;
        let before = path.behind(passed, buckets);
        // Relaxed: a thread that sees an entry behind it also sees the count, which was written first.
        if self.passes(before).load(Ordering::Relaxed) == 0 || passed + 1 >= buckets {
            return None;
        }
        Some(path.behind(passed + 1, buckets))
    }

    #[inline]
    pub(crate) fn slot(&self, bucket: u32, slot: usize) -> &'a AtomicU64 {
        self.memory.long(self.geometry.bucket(bucket) + slot * 8)
    }

    #[inline]
    pub(crate) fn frequency(&self, place: Place) -> &'a AtomicU8 {
        self.memory.byte(self.geometry.bucket(place.bucket) + FREQUENCIES + place.slot)
    }

    fn passes(&self, bucket: u32) -> &'a AtomicU8 {
        self.memory.byte(self.geometry.bucket(bucket) + PASSES)
    }

    /// Counts that the entry was wanted: a hint, so two that do it at once may count as one. A cache line is written to
    /// only until the count is at its most.
    #[inline]
    pub(crate) fn want(&self, place: Place) {
        let frequency = self.frequency(place);
        let count = frequency.load(Ordering::Relaxed);
        if count < WANTED {
            frequency.store(count + 1, Ordering::Relaxed);
        }
    }

    /// Where a slot with this value is. The caller owns its shard.
    pub(crate) fn find_slot(&self, hash: u32, value: u64) -> Option<Place> {
        let mut path = self.path(hash);
        while let Some(bucket) = self.next_bucket(&mut path) {
            for slot in 0..SLOTS {
                if self.slot(bucket, slot).load(Ordering::Relaxed) == value {
                    return Some(Place { bucket, slot, passed: path.passed() });
                }
            }
        }
        None
    }

    #[inline]
    pub(crate) const fn place(bucket: u32, slot: usize, path: &Path) -> Place {
        Place { bucket, slot, passed: path.passed() }
    }

    /// Puts a value into a free slot for a hash; `None` if no slot of the index is free. Calls `begin` with the place
    /// before it takes the slot.
    pub(crate) fn take_slot(&self, hash: u32, value: u64, begin: impl Fn(Place)) -> Option<Place> {
        loop {
            let place = self.free_slot(hash)?;
            self.pass(hash, place.passed, 1);
            begin(place);
            self.frequency(place).store(0, Ordering::Relaxed);
            // Release: who sees the value sees the record. It fails where another shard's owner was faster.
            let slot = self.slot(place.bucket, place.slot);
            if slot.compare_exchange(0, value, Ordering::Release, Ordering::Relaxed).is_ok() {
                return Some(place);
            }
            self.pass(hash, place.passed, -1);
        }
    }

    /// Frees a slot. The caller owns its shard.
    pub(crate) fn free(&self, hash: u32, place: Place) {
        self.slot(place.bucket, place.slot).store(0, Ordering::Release);
        shm_lifetime::fault::step();
        self.pass(hash, place.passed, -1);
    }

    /// A free slot: of the emptier of the two buckets, else of the first one behind that has any.
    fn free_slot(&self, hash: u32) -> Option<Place> {
        let path = self.path(hash);
        let ((one, place_one), (two, place_two)) = (self.room_in(path.first), self.room_in(path.second));
        if let Some(slot) = if two > one { place_two } else { place_one } {
            let bucket = if two > one { path.second } else { path.first };
            return Some(Place { bucket, slot, passed: 0 });
        }
        let buckets = self.geometry.sizes.buckets;
        (1..buckets).find_map(|passed| {
            let bucket = path.behind(passed, buckets);
            let slot = self.room_in(bucket).1?;
            Some(Place { bucket, slot, passed })
        })
    }

    /// How many slots of a bucket are free, and the first of them.
    fn room_in(&self, bucket: u32) -> (usize, Option<usize>) {
        let is_free = |slot: &usize| self.slot(bucket, *slot).load(Ordering::Relaxed) == 0;
        let mut free = (0..SLOTS).filter(is_free);
        let first = free.next();
        (usize::from(first.is_some()) + free.count(), first)
    }

    /// Counts a key in the buckets that it passes, or takes it off. A count that is at its most stays there. Who dies
    /// in between leaves counts that are too high: they cost a look.
    fn pass(&self, hash: u32, passed: u32, by: i8) {
        let (path, buckets) = (self.path(hash), self.geometry.sizes.buckets);
        for behind in 0..passed {
            let count = self.passes(path.behind(behind, buckets));
            let mut found = count.load(Ordering::Relaxed);
            while found != u8::MAX && !(found == 0 && by < 0) {
                let next = found.wrapping_add_signed(by);
                match count.compare_exchange_weak(found, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(other) => found = other,
                }
            }
        }
    }
}
