//! An owner dies before any of its accesses to memory. The next owner finds old or new entries and the right numbers,
//! and reads few words.

use super::{
    Core,
    layout::bucket::SLOTS,
    load::Beginning,
    memory::{AtomicU8, AtomicU32, AtomicU64, Memory, Ordering},
    record::Draft,
    shard::Shard,
    tests::{Zeros, check_numbers, options},
    writer::If,
};
use crate::{MapOptions, place::Place};
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// Memory that counts accesses, and ends its user before the one of a number.
#[derive(Clone, Copy)]
struct Mortal<'a> {
    place: Place<'a>,
    accesses: &'a Cell<u32>,
    last: u32,
}

/// How a user of memory ends.
struct Died;

impl<'a> Mortal<'a> {
    fn live(self) -> Place<'a> {
        self.accesses.set(self.accesses.get() + 1);
        if self.accesses.get() > self.last {
            resume_unwind(Box::new(Died));
        }
        self.place
    }
}

impl<'a> Memory<'a> for Mortal<'a> {
    fn long(self, offset: usize) -> &'a AtomicU64 {
        self.live().long(offset)
    }

    fn word(self, offset: usize) -> &'a AtomicU32 {
        self.live().word(offset)
    }

    fn byte(self, offset: usize) -> &'a AtomicU8 {
        self.live().byte(offset)
    }

    fn read(self, offset: usize, target: &mut [u8]) {
        self.live().read(offset, target);
    }

    fn write(self, offset: usize, source: &[u8]) {
        self.live().write(offset, source);
    }

    fn copy(self, from: usize, to: usize, count: usize) {
        self.live().copy(from, to, count);
    }
}

#[derive(Clone, Copy)]
struct Never;

impl super::Clock for Never {
    fn now(self) -> u64 {
        1000
    }
}

const SIZE: usize = 32 << 10;

fn shard<'a, M: Memory<'a>>(core: Core<'a, M>) -> Shard<'a, M> {
    core.shard(0)
}

fn set<'a, M: Memory<'a>>(core: Core<'a, M>, key: u32, value: &[u8]) {
    let name = key.to_le_bytes();
    let draft = Draft { key: core.key(&name), value, encoding: 0, expires: None, tags: &[] };
    // A map that keeps what it has may be full.
    let _ = shard(core).put(&draft, If::Always, Never);
}

/// The byte of which a value consists.
fn get(core: Core<'_, Place<'_>>, key: u32) -> Option<u8> {
    let name = key.to_le_bytes();
    let copy = |place, length| {
        let mut value = vec![0; length];
        core.memory.read(place, &mut value);
        value
    };
    let (_, value) = core.get(&core.key(&name), Never, copy)?;
    assert!(value.iter().all(|byte| *byte == value[0]), "torn");
    Some(value[0])
}

/// A map in which each set moves or evicts.
fn filled<'a>(memory: &'a Zeros, options: &MapOptions) -> Core<'a, Place<'a>> {
    let core = memory.core(options);
    for number in 0..800u32 {
        set(core, number * 7 % 60, &vec![1; number as usize * 31 % 400 + 1]);
    }
    core
}

type Act<'c> = &'c dyn Fn(Core<'_, Mortal<'_>>);

/// Lets an owner do something, and lets it die before each of its accesses.
fn die_everywhere(evict: bool, act: Act<'_>) {
    let options = options(SIZE as u64, evict);
    for last in 0.. {
        let memory = Zeros::new(SIZE);
        let core = filled(&memory, &options);
        let before: Vec<_> = (0..61).map(|key| get(core, key)).collect();
        let accesses = Cell::new(0);
        let mortal = Mortal { place: core.memory, accesses: &accesses, last };
        let lived = catch_unwind(AssertUnwindSafe(|| act(Core::new(mortal, core.geometry)))).is_ok();
        // It may die again while it takes over, and the next one goes on.
        for again in 0..3 {
            accesses.set(0);
            let heir = Mortal { last: again * 7, ..mortal };
            drop(catch_unwind(AssertUnwindSafe(|| shard(Core::new(heir, core.geometry)).recover())));
        }
        accesses.set(0);
        shard(Core::new(Mortal { last: 64, ..mortal }, core.geometry)).recover();
        check_numbers(&shard(core));
        for (key, before) in before.into_iter().enumerate() {
            let found = get(core, key as u32);
            // The owner writes 2, and removes key 3. A cache evicts.
            let may = found == before || found == Some(2) || found.is_none() && (evict || key == 3);
            assert!(may, "key {key}: {found:?} after {before:?}, dead before access {last}");
        }
        set(core, 60, &[2; 100]);
        check_numbers(&shard(core));
        if lived {
            return;
        }
    }
}

#[test]
fn an_owner_that_dies_anywhere_leaves_the_right_numbers() {
    let writes: [Act<'_>; 4] = [
        &|core| set(core, 60, &[2; 300]),
        &|core| set(core, 3, &[2; 300]),
        &|core| _ = shard(core).remove(&core.key(&3u32.to_le_bytes()), Never),
        &|core| {
            let name = 3u32.to_le_bytes();
            let key = core.key(&name);
            let begun = shard(core).begin_load(&key, 1, None, &[], |_| false, Never);
            if let Ok(Beginning::Ours(number)) = begun {
                shard(core).end_load(&key, number, Never);
            }
        },
    ];
    for evict in [false, true] {
        writes.iter().for_each(|act| die_everywhere(evict, *act));
    }
}

#[test]
fn a_load_replaces_nothing_that_a_dead_owner_has_set() {
    let name = 60u32.to_le_bytes();
    // Whether the owner lived.
    let die_before = |evict: bool, last: u32| {
        let memory = Zeros::new(SIZE);
        let core = filled(&memory, &options(SIZE as u64, evict));
        let key = core.key(&name);
        let begun = shard(core).begin_load(&key, 1, None, &[], |_| true, Never).unwrap();
        let Beginning::Ours(number) = begun else { panic!("nobody is at it") };
        let accesses = Cell::new(0);
        let mortal = Mortal { place: core.memory, accesses: &accesses, last };
        let set_it = || set(Core::new(mortal, core.geometry), 60, &[2; 300]);
        let lived = catch_unwind(AssertUnwindSafe(set_it)).is_ok();
        shard(core).recover();
        let is_set = get(core, 60).is_some();
        assert!(is_set || !lived);
        assert!(!is_set || !shard(core).end_load(&key, number, Never), "dead before access {last}");
        lived
    };
    for evict in [false, true] {
        assert!((0..10_000).any(|last| die_before(evict, last)));
    }
}

#[test]
fn a_clearing_that_dies_anywhere_is_ended_by_the_next_owner() {
    let die_before = |evict: bool, last: u32| {
        let memory = Zeros::new(SIZE);
        let core = filled(&memory, &options(SIZE as u64, evict));
        core.invalidate_all();
        let accesses = Cell::new(0);
        let mortal = Mortal { place: core.memory, accesses: &accesses, last };
        let lived = catch_unwind(AssertUnwindSafe(|| _ = shard(Core::new(mortal, core.geometry)))).is_ok();
        let shard = shard(core);
        shard.recover();
        check_numbers(&shard);
        let slots =
            (0..core.geometry.sizes.buckets).flat_map(|bucket| (0..SLOTS).map(move |slot| (bucket, slot)));
        assert!(slots.into_iter().all(|(bucket, slot)| core.slot(bucket, slot).load(Ordering::Relaxed) == 0));
        lived
    };
    for evict in [false, true] {
        assert!((0..100_000).step_by(13).any(|last| die_before(evict, last)));
    }
}

#[test]
fn what_a_dead_owner_has_invalidated_makes_room() {
    let die_before = |last: u32| {
        let memory = Zeros::new(SIZE);
        let core = memory.core(&options(SIZE as u64, false));
        let put = |key: u32, tags: &[u64]| {
            let name = key.to_le_bytes();
            let draft = Draft { key: core.key(&name), value: &[1; 100], encoding: 0, expires: None, tags };
            shard(core).put(&draft, If::Always, Never)
        };
        let tag = core.tag(b"tag");
        assert!((0..1000).any(|key| put(key, &[tag]).is_err()), "it is full");
        let accesses = Cell::new(0);
        let mortal = Mortal { place: core.memory, accesses: &accesses, last };
        let invalidate = || Core::new(mortal, core.geometry).invalidate(b"tag");
        let lived = catch_unwind(AssertUnwindSafe(invalidate)).is_ok();
        let is_invalid = core.tag(b"tag") != tag;
        assert!(is_invalid || !lived);
        assert_eq!(put(1000, &[]).is_ok(), is_invalid, "dead before access {last}");
        lived
    };
    assert!((0..100).any(die_before));
}
