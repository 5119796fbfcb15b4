//! Positions in a ring.
//!
//! A ring has any number of granules. Positions count in laps of the next power of two: an offset, and above it the
//! number of the lap. Where a lap ends, the position jumps to the next one. So they only grow, and never come twice.

use super::{
    Core, Damaged,
    layout::{record::GRANULE, shard, slot},
    memory::{Memory, Ordering},
};

/// Which of a shard's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Where new entries are tried out.
    Small,
    /// Where wanted ones are kept.
    Main,
}

impl Which {
    #[inline]
    pub(crate) const fn of(slot: u64) -> Self {
        if slot & slot::MAIN == 0 { Self::Small } else { Self::Main }
    }
}

/// A ring, and where its head and tail are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    pub(crate) which: Which,
    first: usize,
    /// In granules.
    pub(crate) size: u64,
    mask: u64,
    pub(crate) head: usize,
    pub(crate) tail: usize,
}

/// How far a ring is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) head: u64,
    pub(crate) tail: u64,
    /// In granules.
    pub(crate) free: u64,
}

impl Ring {
    #[inline]
    pub(crate) const fn new(which: Which, first: usize, size: u32, shard: usize) -> Self {
        let mask = (size as u64).next_power_of_two() - 1;
        let at = which as usize;
        Self {
            which,
            first,
            size: size as u64,
            mask,
            head: shard + shard::HEADS[at],
            tail: shard + shard::TAILS[at],
        }
    }

    /// The first byte of the `granules` at a position; `None` if they are not all in the ring.
    #[inline]
    pub(crate) const fn place(&self, position: u64, granules: u64) -> Option<usize> {
        let offset = position & self.mask;
        if offset + granules > self.size {
            return None;
        }
        Some(self.first + offset as usize * GRANULE)
    }

    /// How many granules there are from a position to the end of its lap.
    #[inline]
    pub(crate) const fn rest(&self, position: u64) -> u64 {
        self.size.saturating_sub(position & self.mask)
    }

    /// The position behind `granules` that lie within a lap.
    #[inline]
    pub(crate) const fn behind(&self, position: u64, granules: u64) -> u64 {
        let next = position.wrapping_add(granules);
        if next & self.mask == self.size { (next | self.mask).wrapping_add(1) } else { next }
    }

    /// The slot of a record at a position.
    #[inline]
    pub(crate) const fn slot(&self, tag: u64, position: u64) -> u64 {
        let main = if matches!(self.which, Which::Main) { slot::MAIN } else { 0 };
        tag | main | position & slot::POSITION
    }

    /// How many granules are used between tail and head; `None` if that cannot be.
    const fn used(&self, head: u64, tail: u64) -> Option<u64> {
        let (end, start) = (head & self.mask, tail & self.mask);
        if end >= self.size || start >= self.size {
            return None;
        }
        match (head & !self.mask).wrapping_sub(tail & !self.mask) {
            0 if end >= start => Some(end - start),
            lap if lap == self.mask + 1 && end <= start => Some(self.size - start + end),
            _ => None,
        }
    }
}

/// Whether the tail has passed the position that a slot has. Correct while they are less than 2^38 granules apart, four
/// tebibytes.
#[inline]
pub(crate) const fn has_passed(tail: u64, slot: u64) -> bool {
    const UNUSED: u32 = slot::POSITION.leading_zeros();
    ((slot.wrapping_sub(tail)) << UNUSED).cast_signed() < 0
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// How far a ring is filled. The caller holds the shard's mutex.
    #[inline]
    pub(crate) fn extent(&self, ring: &Ring) -> Result<Extent, Damaged> {
        // Relaxed: written under the mutex only.
        let head = self.memory.long(ring.head).load(Ordering::Relaxed);
        let tail = self.memory.long(ring.tail).load(Ordering::Relaxed);
        let used = ring.used(head, tail).ok_or(Damaged("a ring's head and tail are too far apart"))?;
        Ok(Extent { head, tail, free: ring.size - used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_grow_from_lap_to_lap_and_never_point_outside() {
        for size in [256, 300, 511, 512] {
            let ring = Ring::new(Which::Main, 64, size, 0);
            let (mut head, mut laps) = (0, 0);
            for _ in 0..4 * size {
                assert!(ring.place(head, 1).is_some());
                assert_eq!(ring.place(head, ring.rest(head) + 1), None);
                let next = ring.behind(head, 1);
                assert!(next > head);
                laps += u32::from(next & ring.mask == 0);
                head = next;
            }
            assert_eq!(laps, 4);
            assert_eq!(ring.used(head, head), Some(0));
            assert_eq!(ring.used(head, 0), None, "four laps");
        }
    }

    #[test]
    fn used_granules_are_counted_across_the_end_of_a_lap() {
        let ring = Ring::new(Which::Main, 64, 300, 0);
        assert_eq!(ring.used(512, 299), Some(1));
        assert_eq!(ring.used(512 + 299, 299), Some(300));
        assert_eq!(ring.used(512 + 299, 298), None);
        assert_eq!(ring.used(3, 5), None);
        assert_eq!(ring.used(301, 0), None, "between two laps");
    }

    #[test]
    fn a_tail_passes_positions_across_the_end_of_their_bits() {
        assert!(!has_passed(7, 7) && has_passed(8, 7));
        let last = slot::POSITION;
        assert!(!has_passed(last, slot::MAIN | last) && has_passed(last + 1, slot::MAIN | last));
        assert!(!has_passed(last - 5, 3), "it has wrapped around");
    }
}
