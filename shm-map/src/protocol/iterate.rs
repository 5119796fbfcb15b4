//! Going through all entries without a lock. An entry keeps its slot as long as it exists. So a walk over the slots
//! finds each entry that exists from begin to end exactly once.

use super::{
    Clock, Core,
    geometry::tag,
    index::Place,
    layout::{bucket::SLOTS, record::MAX_KEY, slot::TAG},
    memory::{Memory, Ordering},
    reader::Found,
    ring::Which,
};

/// How often one whose record goes away under it looks at the slot again.
const ATTEMPTS: u32 = 1 << 10;

/// Where one is who goes through all entries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    bucket: u32,
    slot: usize,
}

impl Cursor {
    /// Any number is some cursor: one behind the last bucket is at the end.
    pub(crate) const fn of_number(number: u64) -> Self {
        let bucket = number / (SLOTS as u64 + 1);
        let bucket = if bucket > u32::MAX as u64 { u32::MAX } else { bucket as u32 };
        Self { bucket, slot: (number % (SLOTS as u64 + 1)) as usize }
    }

    pub(crate) const fn number(self) -> u64 {
        self.bucket as u64 * (SLOTS as u64 + 1) + self.slot as u64
    }
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// The next entry: its key goes into `key`, and `copy` reads its value, as in [`get`](Self::get).
    pub(crate) fn next<T>(
        &self,
        cursor: &mut Cursor,
        key: &mut Vec<u8>,
        clock: impl Clock,
        mut copy: impl FnMut(usize, usize) -> T,
    ) -> Option<(Found, T)> {
        while cursor.bucket < self.geometry.sizes.buckets {
            while cursor.slot < SLOTS {
                let place = Place::at(cursor.bucket, cursor.slot);
                cursor.slot += 1;
                if let Some(found) = self.visit(place, key, clock, &mut copy) {
                    return Some(found);
                }
            }
            *cursor = Cursor { bucket: cursor.bucket + 1, slot: 0 };
        }
        None
    }

    fn visit<T>(
        &self,
        place: Place,
        key: &mut Vec<u8>,
        clock: impl Clock,
        copy: &mut impl FnMut(usize, usize) -> T,
    ) -> Option<(Found, T)> {
        for _ in 0..ATTEMPTS {
            let slot = self.slot(place.bucket, place.slot).load(Ordering::Acquire);
            if slot == 0 {
                return None;
            }
            let ring = self.geometry.ring(self.geometry.shard_of_slot(slot), Which::of(slot));
            let seen = self.record(&ring, slot).filter(|record| {
                tag(record.hash) == slot & TAG && !record.is_skip() && record.key_length() <= MAX_KEY
            });
            if let Some(record) = seen {
                let version = self.memory.long(record.version_at()).load(Ordering::Acquire);
                let (expires, is_valid) = (self.expires(&record), self.is_valid(&record, clock));
                key.resize(record.key_length(), 0);
                self.memory.read(record.key_at(), key);
                let copied = copy(record.value_at(), record.length);
                if self.is_whole(&ring, slot) {
                    let found = Found::new(&record, version, expires, slot, place);
                    return (is_valid && !record.is_load()).then_some((found, copied));
                }
            }
            if self.is_still(place, slot) {
                return None;
            }
        }
        None
    }
}
