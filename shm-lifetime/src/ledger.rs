//! The entries of the segments that this user created.
//!
//! It is one mapped file of 512-byte slots. Each slot is free or has one entry. `slots` has the file and how it grows;
//! `entry` has the words of an entry. In this file, an entry gets its slot, is found, and gives the slot back.
//! `attached` counts the attachments of this process.
//!
//! A process takes a slot by compare-and-swap of its first word, which also has the hash of the name. If a process has
//! the lock of that name and finds a slot that is taken but not written, it knows that the writer is dead. An entry is
//! checked before it is used.

mod attached;
mod entry;
mod slots;

use crate::ObjectId;
use attached::Attached;
use shm_api::OsError;
use slots::{Slot, Slots, first};
use std::{
    fmt,
    os::fd::OwnedFd,
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};

pub use entry::{BackendId, Entry, EntryName};
pub use slots::EntryId;
pub(crate) use slots::FILE;

/// The first word of a slot: a phase, and in the upper half the hash of the name.
const STATE: usize = 0;
const FREE: u64 = 0;
/// Taken, but without an entry that is to be used. Entries are counted in and out in this phase only. So whoever finds
/// all slots of a level free, and its count unchanged since, knows that no entry is counted.
const CLAIMED: u64 = 1;
const WRITTEN: u64 = 2;
const PHASE: u64 = 0xff;

/// One user's ledger, as mapped by this process.
pub struct Ledger {
    slots: Slots,
    attached: Attached,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("levels", &self.slots.known_levels()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Maps the ledger in `file`, and makes an empty one of an empty file.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is no room for it, `ENOTSUP` if it is not of this version.
    pub(crate) fn open(file: OwnedFd) -> Result<Self, OsError> {
        Ok(Self { slots: Slots::open(file)?, attached: Attached::new() })
    }

    /// Writes an entry into a free slot.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the ledger cannot grow.
    pub fn insert(&self, entry: &Entry) -> Result<EntryId, OsError> {
        let hash = entry.name.lock_byte();
        let state = u64::from(hash) << 32;
        loop {
            let levels = self.slots.known_levels();
            for (id, slot) in self.slots.window(levels, hash) {
                let is_free = slot[STATE].load(Relaxed) == FREE;
                if !is_free || slot[STATE].compare_exchange(FREE, state | CLAIMED, Acquire, Relaxed).is_err()
                {
                    continue;
                }
                crate::step();
                self.slots.count_in(id);
                crate::step();
                entry::write(slot, entry);
                slot[STATE].store(state | WRITTEN, Release);
                return Ok(id);
            }
            self.slots.grow(levels)?;
        }
    }

    /// Writes which object an entry stands for, when the object exists. `None`: the object that was written before was
    /// not made.
    pub fn set_object(&self, id: EntryId, object: Option<ObjectId>) {
        if let Some(slot) = self.slots.get(id) {
            entry::write_object(slot, object);
        }
    }

    /// Erases an entry: its segment is gone.
    pub fn erase(&self, id: EntryId) {
        let Some(slot) = self.slots.get(id) else { return };
        let state = slot[STATE].load(Acquire);
        if state == FREE {
            return;
        }
        // The slot stays taken until its entry is counted out.
        let before = slot[STATE].swap(state & !PHASE | CLAIMED, AcqRel);
        crate::step();
        // If it was only claimed, its writer died, perhaps before it was counted.
        if before & PHASE == WRITTEN {
            self.slots.count_out(id);
        }
        crate::step();
        slot[STATE].store(FREE, Release);
    }

    /// The entry in a slot; `None` if there is none, or if it is damaged.
    pub fn get(&self, id: EntryId) -> Option<Entry> {
        let slot = self.slots.get(id)?;
        let state = slot[STATE].load(Acquire);
        if state & PHASE != WRITTEN {
            return None;
        }
        let entry = entry::read(slot)?;
        (u64::from(entry.name.lock_byte()) == state >> 32).then_some(entry)
    }

    /// The entries of a name. There are several if it is taken in several IPC namespaces, or on several mounts.
    pub fn entries_of(&self, name: &EntryName) -> impl Iterator<Item = (EntryId, Entry)> {
        let hash = name.lock_byte();
        self.slots.occupied().flat_map(move |level| self.slots.window_of(level, hash)).filter_map(
            move |(id, slot)| {
                let state = slot[STATE].load(Relaxed);
                if state >> 32 != u64::from(hash) || state & PHASE != WRITTEN {
                    return None;
                }
                let entry = self.get(id).filter(|entry| entry.name == *name)?;
                Some((id, entry))
            },
        )
    }

    /// Every slot that is not free, with the name's lock byte.
    pub fn taken(&self) -> impl Iterator<Item = (EntryId, u32)> + '_ {
        self.slots
            .occupied()
            .flat_map(|level| (first(level)..first(level + 1)).skip(usize::from(level == 0)))
            .filter_map(|index| {
                let state = self.slots.get(EntryId::of_index(index))?[STATE].load(Acquire);
                (state != FREE).then_some((EntryId::of_index(index), (state >> 32) as u32))
            })
    }

    /// Corrects the counts of empty levels. Processes that died in the middle of a change leave wrong ones.
    pub(crate) fn recount(&self) {
        for level in self.slots.occupied().filter(|level| *level != 0) {
            let is_free = |slot: &Slot| slot[STATE].load(SeqCst) == FREE;
            self.slots
                .correct(level, || self.slots.of_level(level).is_some_and(|slots| slots.iter().all(is_free)));
        }
    }

    /// Whether a slot is still taken by a name of that lock byte.
    pub fn taken_by(&self, id: EntryId, byte: u32) -> bool {
        self.slots.get(id).is_some_and(|slot| {
            let state = slot[STATE].load(Acquire);
            state != FREE && (state >> 32) as u32 == byte
        })
    }

    /// Counts an attachment by this process.
    pub(crate) fn attach(&self, id: EntryId, object: ObjectId) {
        self.attached.add(id, object);
    }

    /// Takes an attachment of this process off the count; returns whether it has others. Safe in a signal handler.
    pub(crate) fn detach(&self, id: EntryId, object: ObjectId) -> bool {
        self.attached.remove(id, object)
    }

    /// Whether somebody removed the file, or the program closed it.
    pub(crate) fn is_lost(&self) -> bool {
        self.slots.are_lost()
    }

    /// How many slots the file has room for.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        entry::tests::entry,
        slots::{
            level_of,
            tests::{file, opened},
        },
        *,
    };
    use crate::fault::between_steps::interrupted;
    use std::{mem, rc::Rc};

    impl Ledger {
        fn find(&self, name: &EntryName) -> Option<(EntryId, Entry)> {
            self.entries_of(name).next()
        }
    }

    #[test]
    fn an_entry_is_found_by_its_name_as_it_was_written() {
        let ledger = Ledger::open(file()).unwrap();
        for name in [EntryName::Key(42), EntryName::from_bare(&"n".repeat(255)).unwrap()] {
            let id = ledger.insert(&entry(name)).unwrap();
            assert_eq!(ledger.find(&name), Some((id, entry(name))));
            for object in [0.into(), ObjectId { number: 5, born: 6 }] {
                ledger.set_object(id, Some(object));
                assert_eq!(ledger.get(id).unwrap().object, Some(object));
            }
            ledger.erase(id);
            assert_eq!(ledger.find(&name), None);
        }
    }

    #[test]
    fn two_processes_see_one_ledger_and_its_growth() {
        let [ours, theirs] = opened().map(|file| Ledger::open(file).unwrap());
        for key in 1..=5000 {
            ours.insert(&entry(EntryName::Key(key))).unwrap();
        }
        assert!((1..=5000).all(|key| theirs.find(&EntryName::Key(key)).is_some()));
        assert_eq!(theirs.taken().count(), 5000);
    }

    #[test]
    fn levels_that_are_empty_again_are_not_searched() {
        let file = file();
        let ledger = Ledger::open(file.try_clone().unwrap()).unwrap();
        let ids: Vec<_> = (1..=5000).map(|key| ledger.insert(&entry(EntryName::Key(key))).unwrap()).collect();
        assert!(ledger.slots.occupied().count() > 3);
        for id in &ids[1..] {
            ledger.erase(*id);
            ledger.erase(*id); // it is not counted twice
        }
        assert_eq!(ledger.find(&EntryName::Key(1)).map(|(id, _)| id), Some(ids[0]));
        assert!(ledger.slots.occupied().count() <= 2);
        ledger.erase(ids[0]);
        assert_eq!(ledger.slots.occupied().collect::<Vec<_>>(), [0]);

        let next = Ledger::open(file).unwrap();
        assert_eq!(next.taken().count(), 0);
        assert_eq!(next.slots.mapped_levels(), 1, "the others are not even mapped");
    }

    #[test]
    fn a_count_that_a_dead_process_left_wrong_is_corrected() {
        let ledger = Ledger::open(file()).unwrap();
        let ids: Vec<_> = (1..=300).map(|key| ledger.insert(&entry(EntryName::Key(key))).unwrap()).collect();
        let upper = *ids.iter().find(|id| level_of(**id) == 1).unwrap();
        ledger.slots.count_in(upper);
        ledger.recount();
        for id in ids {
            assert!(ledger.get(id).is_some());
            ledger.erase(id);
        }
        assert!(ledger.slots.occupied().any(|level| level == 1));
        ledger.recount();
        assert!(ledger.slots.occupied().all(|level| level == 0));
    }

    #[test]
    fn an_entry_that_comes_while_a_level_is_searched_is_still_counted() {
        let ledger = Ledger::open(file()).unwrap();
        // Slots of the second level that one name's entry goes to once the first level has no room for it.
        let mut upper = Vec::new();
        let mut key = 0;
        let mut next = || {
            key += 1;
            EntryName::Key(key)
        };
        while upper.len() < 2 {
            let name = next();
            let id = ledger.insert(&entry(name)).unwrap();
            if level_of(id) == 1 {
                upper.push((id, name));
            }
        }
        let [(stays, name), (leaves, _)] = upper[..] else { unreachable!() };
        ledger.erase(stays);
        // One has come to a place that was seen to be free, and one has left a place that is looked at next.
        ledger.slots.correct(1, || {
            assert_eq!(ledger.insert(&entry(name)).unwrap(), stays);
            ledger.erase(leaves);
            true
        });
        assert_eq!(ledger.find(&name).map(|(id, _)| id), Some(stays));
        assert!(ledger.taken().any(|(id, ..)| id == stays));
    }

    /// A sweep corrects the counts while an entry comes. With a wrong count, nobody would find it any more.
    #[test]
    fn an_entry_stays_in_sight_if_a_sweep_comes_between_any_two_steps_of_its_writer() {
        let ledger = Rc::new(Ledger::open(file()).unwrap());
        let upper = name_of_the_second_level(&ledger, 1);
        let sweeping = ledger.clone();
        let id = interrupted(move || sweeping.recount(), || ledger.insert(&entry(upper)).unwrap());
        assert_eq!(level_of(id), 1);
        assert_eq!(ledger.find(&upper).map(|(id, _)| id), Some(id));
        assert!(ledger.taken().any(|(taken, _)| taken == id));
    }

    /// An entry goes, a sweep corrects the counts, and another entry comes.
    #[test]
    fn an_entry_stays_in_sight_if_it_comes_between_any_two_steps_of_one_that_goes() {
        let ledger = Rc::new(Ledger::open(file()).unwrap());
        let goes = name_of_the_second_level(&ledger, 1);
        let going = ledger.insert(&entry(goes)).unwrap();
        let comes = name_of_the_second_level(&ledger, 10_000);
        let (others, mut is_first) = (ledger.clone(), true);
        let come = move || {
            others.recount();
            if mem::take(&mut is_first) {
                assert_eq!(level_of(others.insert(&entry(comes)).unwrap()), 1);
            }
        };
        interrupted(come, || ledger.erase(going));
        assert_eq!(ledger.find(&goes), None);
        assert!(ledger.find(&comes).is_some());
    }

    /// A name whose entry will lie in the second level, which has no other, as the first has no room for it.
    fn name_of_the_second_level(ledger: &Ledger, first_key: u32) -> EntryName {
        for key in first_key.. {
            let name = EntryName::Key(key);
            let id = ledger.insert(&entry(name)).unwrap();
            if level_of(id) == 1 {
                ledger.erase(id);
                return name;
            }
        }
        unreachable!("the first level is full at last")
    }

    #[test]
    fn space_does_not_grow_with_the_segments_ever_created() {
        let ledger = Ledger::open(file()).unwrap();
        for key in 1..=100_000 {
            let id = ledger.insert(&entry(EntryName::Key(key))).unwrap();
            ledger.erase(id);
        }
        assert_eq!(ledger.capacity(), 127);
    }

    #[test]
    fn an_entry_with_the_hash_of_another_name_is_not_used() {
        let ledger = Ledger::open(file()).unwrap();
        let id = ledger.insert(&entry(EntryName::Key(1))).unwrap();
        entry::write(ledger.slots.get(id).unwrap(), &entry(EntryName::Key(2)));
        assert_eq!(ledger.get(id), None);
        assert_eq!(ledger.taken().count(), 1, "but a sweep sees that the slot is taken");
    }
}
