//! How often this process holds the segments in the ledger: kept in its own memory, slot by slot.
//!
//! A slot's word has half a word of the object's id and the count. So when another entry gets the slot, its count
//! begins at 0.

use super::slots::{EntryId, FIRST_LEVEL, MAX_LEVELS, level_of};
use crate::ObjectId;
use std::{
    array,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

const HALF: u64 = u32::MAX as u64;

/// The counts, level by level like the slots.
pub(super) struct Attached([OnceLock<Box<[AtomicU64]>>; MAX_LEVELS]);

impl Attached {
    pub(super) fn new() -> Self {
        Self(array::from_fn(|_| OnceLock::new()))
    }

    /// Counts an attachment by this process.
    pub(super) fn add(&self, id: EntryId, object: ObjectId) {
        let level = level_of(id);
        let words = || (0..FIRST_LEVEL << level).map(|_| AtomicU64::new(0)).collect();
        let word = &self.0[level as usize].get_or_init(words)[id.place()];
        let _ = word.fetch_update(Relaxed, Relaxed, |count| {
            let same = count >> 32 == half(object);
            Some(if same { count + 1 } else { half(object) << 32 | 1 })
        });
    }

    /// Takes an attachment of this process off the count; returns whether it has others. Safe in a signal handler.
    pub(super) fn remove(&self, id: EntryId, object: ObjectId) -> bool {
        let level = level_of(id);
        let Some(words) = self.0[level as usize].get() else { return false };
        let word = &words[id.place()];
        let taken_off = |count: u64| (count >> 32 == half(object) && count & HALF != 0).then(|| count - 1);
        word.fetch_update(Relaxed, Relaxed, taken_off).is_ok_and(|count| count & HALF > 1)
    }
}

/// Half a word that distinguishes the objects that have a slot one after the other.
const fn half(object: ObjectId) -> u64 {
    (object.number ^ object.born) & HALF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_how_often_it_holds_a_segment() {
        let (attached, id) = (Attached::new(), EntryId::of_index(1));
        let (one, other) = (ObjectId { number: 5, born: 6 }, ObjectId { number: 5, born: 7 });
        attached.add(id, one);
        attached.add(id, one);
        assert!(attached.remove(id, one), "one is left");
        attached.add(id, other);
        assert!(!attached.remove(id, one), "the slot has another segment now");
        assert!(!attached.remove(id, other), "none is left");
        assert!(!attached.remove(id, other));
    }
}
