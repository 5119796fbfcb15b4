//! Reading without a lock.
//!
//! A record never changes while its slot points to it, but for the number of a counter. Who writes over its bytes has
//! first changed the slot and then moved the tail behind it. So what was read is what the slot said if the tail has not
//! passed the record afterwards. **A record that bears another key counts only if the slot still holds what it held**:
//! otherwise it was moved, its old place was written over, and the entry is there.

use super::{
    Clock, Core,
    geometry::{Key, tag},
    index::Place,
    layout::{bucket::SLOTS, slot::TAG},
    memory::{Memory, Ordering, fence},
    record::Record,
    ring::{Ring, Which, has_passed},
    rules::Rule,
    writer::NUMBER,
};

/// How often a reader whose record goes away under it looks again. It goes away only when the same key is written, or
/// moved after a lap of the ring, so this is never reached but where somebody fakes it.
const ATTEMPTS: u32 = 1 << 16;

/// An entry that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) length: usize,
    pub(crate) encoding: u8,
    pub(crate) version: u64,
    pub(crate) expires: Option<u64>,
    pub(crate) slot: u64,
    pub(crate) place: Place,
    pub(crate) generation: u32,
    pub(crate) has_tags: bool,
}

/// How to see, without the key, that an entry is still what it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    slot: u64,
    bucket: u32,
    generation: u32,
    number: u8,
    /// Only its slot and the generation of the map can make it another entry, or invalid.
    is_plain: bool,
}

impl Sight {
    pub(crate) const fn place(&self) -> Place {
        Place::at(self.bucket, self.number as usize)
    }
}

impl Found {
    #[inline]
    pub(crate) fn new(record: &Record, version: u64, expires: Option<u64>, slot: u64, place: Place) -> Self {
        let (length, encoding, generation) = (record.length, record.encoding(), record.generation);
        Self { length, encoding, version, expires, slot, place, generation, has_tags: record.has_tags() }
    }

    pub(crate) const fn sight(&self) -> Sight {
        let Self { slot, place: Place { bucket, slot: number, .. }, generation, .. } = *self;
        let is_plain = self.expires.is_none() && !self.has_tags && self.encoding != NUMBER;
        Sight { slot, bucket, generation, number: number as u8, is_plain }
    }
}

/// What became of a look at one slot.
enum Look<T> {
    Found(Found, T),
    /// There is such an entry, but it is not valid any more.
    Invalid,
    /// Another key, and the slot is as it was.
    Other,
    /// The slot has changed meanwhile.
    Changed,
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// Looks a key up, and lets `copy` read the value: where it is and how long. What it reads may be torn; then it is
    /// called again.
    #[inline]
    pub(crate) fn get<T>(
        &self,
        key: &Key<'_>,
        clock: impl Clock,
        mut copy: impl FnMut(usize, usize) -> T,
    ) -> Option<(Found, T)> {
        let number = self.geometry.shard_of(key.hash);
        let tag = tag(key.hash);
        'again: for _ in 0..ATTEMPTS {
            let mut path = self.path(key.hash);
            self.prefetch(&path);
            while let Some(bucket) = self.next_bucket(&mut path) {
                for slot in 0..SLOTS {
                    // Acquire: with the slot comes the record.
                    let value = self.slot(bucket, slot).load(Ordering::Acquire);
                    if value & TAG != tag {
                        continue;
                    }
                    let place = Self::place(bucket, slot, &path);
                    let ring = self.geometry.ring(number, Which::of(value));
                    match self.look(&ring, key, value, place, clock, &mut copy) {
                        Look::Found(found, copied) => return Some((found, copied)),
                        Look::Invalid => return None,
                        Look::Other => {}
                        Look::Changed => continue 'again,
                    }
                }
            }
            return None;
        }
        None
    }

    #[inline]
    fn look<T>(
        &self,
        ring: &Ring,
        key: &Key<'_>,
        slot: u64,
        place: Place,
        clock: impl Clock,
        copy: impl FnOnce(usize, usize) -> T,
    ) -> Look<T> {
        let Some(record) = self.record_of(ring, slot, key) else {
            return if self.is_still(place, slot) { Look::Other } else { Look::Changed };
        };
        // Acquire: the number of a counter is read after its version, and so is not older.
        let version = self.memory.long(record.version_at()).load(Ordering::Acquire);
        let expires = self.expires(&record);
        let is_valid = self.is_valid(&record, clock);
        let copied = copy(record.value_at(), record.length);
        if !self.is_whole(ring, slot) {
            // A tail that passed a record whose slot stays was moved by nobody who follows the rules.
            return if self.is_still(place, slot) { Look::Other } else { Look::Changed };
        }
        if !is_valid {
            return Look::Invalid;
        }
        Look::Found(Found::new(&record, version, expires, slot, place), copied)
    }

    /// Whether an entry that was found is there, valid, and has its version.
    ///
    /// While a slot points to a record, only its number and the time at which it expires can change. The next record
    /// with the same value of its slot comes 2^39 granules later, which is eight tebibytes.
    #[inline]
    pub(crate) fn is_unchanged(&self, sight: &Sight, version: u64, clock: impl Clock) -> bool {
        // Acquire: with the slot comes the record.
        let slot = self.slot(sight.bucket, sight.number.into()).load(Ordering::Acquire);
        if slot != sight.slot {
            return false;
        }
        if sight.is_plain {
            return self.generation() == sight.generation;
        }
        let ring = self.geometry.ring(self.geometry.shard_of_slot(slot), Which::of(slot));
        let Some(record) = self.record(&ring, slot).filter(|record| !record.is_skip()) else { return false };
        let found = self.memory.long(record.version_at()).load(Ordering::Acquire);
        found == version && self.is_valid(&record, clock) && self.is_whole(&ring, slot)
    }

    /// Whether what was read at a slot's position is the record that was there.
    ///
    /// The fence stands between the reads of the record and that of the tail; the writer's stands between the tail and
    /// the bytes that it writes over the record (`Shard::move_tail`). So who read one of those sees the tail.
    #[inline]
    pub(crate) fn is_whole(&self, ring: &Ring, slot: u64) -> bool {
        fence(Ordering::Acquire);
        Rule::Whole.is_left_out() || !has_passed(self.memory.long(ring.tail).load(Ordering::Relaxed), slot)
    }

    /// Whether a slot holds what it held, so that the record that was read is another key's. The slot was changed
    /// before the tail moved, and so by the same fences who read what was written over a record sees the slot's change.
    #[inline]
    pub(crate) fn is_still(&self, place: Place, slot: u64) -> bool {
        fence(Ordering::Acquire);
        let is_still = self.slot(place.bucket, place.slot).load(Ordering::Relaxed) == slot;
        is_still || Rule::Mismatch.is_left_out()
    }
}
