//! Loading once for all.

use crate::common::Memory;
use shm_map::{EntryOptions, Load, Map, MapError, MapOptions, layout};
use shm_sync::{Mutex, Pause, Step};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const SIZE: u64 = 256 << 10;
const PLAIN: EntryOptions<'static> = EntryOptions { ttl: None, tags: &[], encoding: 0 };
const LONG: Duration = Duration::from_secs(1000);

fn begin<'m>(map: &'m Map<'_>, tags: &[&str]) -> Step<'m, Option<Load>> {
    map.begin_load(b"key", LONG, tags).unwrap()
}

fn ours(map: &Map<'_>, tags: &[&str]) -> Load {
    let Step::Ready(Some(load)) = begin(map, tags) else { panic!("nobody is at it") };
    load
}

#[test]
fn one_caller_loads_and_the_others_wait_for_the_entry() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    let load = ours(&map, &[]);
    let Step::Wait(Pause { cell, expected }) = begin(&map, &[]) else { panic!("another one is at it") };
    assert_eq!(cell.load(Ordering::SeqCst), expected);
    assert!(!map.contains(b"key").unwrap() && map.is_empty(), "a load is no entry");
    assert!(map.finish_load(b"key", load, b"value", &PLAIN).unwrap().is_some());
    assert_ne!(cell.load(Ordering::SeqCst), expected);
    assert!(matches!(begin(&map, &[]), Step::Ready(None)));
    assert_eq!((map.contains(b"key").unwrap(), map.len()), (true, 1));
}

#[test]
fn an_abandoned_load_goes_to_another_caller() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    let load = ours(&map, &[]);
    map.abandon_load(b"key", load).unwrap();
    let again = ours(&map, &[]);
    assert_eq!(map.finish_load(b"key", load, b"value", &PLAIN).unwrap(), None, "another owner loads it now");
    assert!(map.finish_load(b"key", again, b"value", &PLAIN).unwrap().is_some());
}

#[test]
fn a_write_during_a_load_wins() {
    let between: [&dyn Fn(&Map<'_>); 5] = [
        &|map| _ = map.insert(b"key", b"other", &PLAIN).unwrap(),
        &|map| _ = map.remove(b"key").unwrap(),
        &|map| map.clear().unwrap(),
        &|map| map.invalidate_tags(&["tag"]).unwrap(),
        &|map| _ = map.increment(b"key", 1.0, None).unwrap(),
    ];
    for (number, act) in between.iter().enumerate() {
        let memory = Memory::new(SIZE);
        let map = memory.open(&MapOptions::new(SIZE)).unwrap();
        let load = ours(&map, &["tag"]);
        assert!(map.is_loading(b"key", load).unwrap());
        act(&map);
        assert!(!map.is_loading(b"key", load).unwrap(), "act {number}");
        let is_there = map.contains(b"key").unwrap();
        assert_eq!(map.finish_load(b"key", load, b"value", &PLAIN).unwrap(), None, "act {number}");
        assert_eq!(map.contains(b"key").unwrap(), is_there);
    }
}

#[test]
fn a_loader_that_takes_too_long_is_replaced() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    let begin = || map.begin_load(b"key", Duration::from_millis(1), &[]).unwrap();
    let Step::Ready(Some(load)) = begin() else { panic!("nobody is at it") };
    while matches!(begin(), Step::Wait(_)) {
        std::thread::yield_now();
    }
    assert_eq!(map.finish_load(b"key", load, b"value", &PLAIN).unwrap(), None);
}

#[test]
fn a_loader_that_has_died_is_replaced() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    let live = crate::common::live();
    let environment = live.new_owner().unwrap();
    let theirs = map.clone().for_owner(environment);
    let load = ours(&theirs, &[]);
    assert!(matches!(begin(&map, &[]), Step::Wait(_)));
    live.retire(environment);
    let again = ours(&map, &[]);
    assert_ne!(load, again);
}

#[test]
fn a_dead_loader_that_also_holds_the_lock_is_replaced_at_once() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions { shards: Some(1), ..MapOptions::new(SIZE) }).unwrap();
    let map = map.lock_timeout(Duration::ZERO);
    let live = crate::common::live();
    let environment = live.new_owner().unwrap();
    _ = ours(&map.clone().for_owner(environment), &[]);
    let offset = layout::header::TAGS + map.options().tag_slots.unwrap() as usize * 4;
    let region = memory.region(shm_api::Access::ReadWrite);
    let mutex = Mutex::open(region, offset.next_multiple_of(64) + layout::shard::MUTEX, live).unwrap();
    mutex.for_owner(environment).lock().unwrap().keep();
    assert_eq!(map.begin_load(b"key", LONG, &[]).unwrap_err(), MapError::Busy);
    live.retire(environment);
    _ = ours(&map, &[]);
    assert_eq!(map.stats().owners_died, 1);
}

#[test]
fn an_expired_entry_is_still_returned_while_it_is_loaded_again() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    let brief = EntryOptions { ttl: Some(Duration::from_millis(1)), ..PLAIN };
    map.insert(b"key", b"old", &brief).unwrap();
    while map.contains(b"key").unwrap() {
        std::thread::yield_now();
    }
    let mut value = Vec::new();
    assert!(map.get_stale(b"key", LONG, &mut value).unwrap().is_some());
    assert_eq!(value, b"old");
    let load = ours(&map, &[]);
    assert!(map.get_stale(b"key", LONG, &mut value).unwrap().is_some());
    map.finish_load(b"key", load, b"new", &PLAIN).unwrap().unwrap();
    map.get(b"key", &mut value).unwrap().unwrap();
    assert_eq!(value, b"new");
}

#[test]
fn one_of_several_callers_loads_at_a_time() {
    let memory = Memory::new(SIZE);
    // A thread that holds the lock may have to wait for a processor.
    let map = memory.open(&MapOptions::new(SIZE)).unwrap().lock_timeout(LONG);
    let (live, loads_now) = (crate::common::live(), AtomicBool::new(false));
    let load_often = |map: Map<'_>| {
        for number in 0..500 {
            let load = loop {
                // Without a time limit: nothing but the end of a load lets another one begin.
                match map.begin_load(b"key", Duration::MAX, &[]).unwrap() {
                    Step::Ready(Some(load)) => break load,
                    _ => std::thread::yield_now(),
                }
            };
            assert!(!loads_now.swap(true, Ordering::SeqCst), "another one loads");
            std::thread::yield_now();
            loads_now.store(false, Ordering::SeqCst);
            if number % 2 == 0 {
                map.abandon_load(b"key", load).unwrap();
            } else {
                assert!(map.finish_load(b"key", load, b"value", &PLAIN).unwrap().is_some());
                assert!(map.remove(b"key").unwrap(), "nobody else writes or removes it");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (map, load_often) = (map.clone().for_owner(live.new_owner().unwrap()), &load_often);
            scope.spawn(move || load_often(map));
        }
    });
}

#[test]
fn a_load_outlasts_what_nobody_wants_however_much_a_cache_evicts() {
    // Where memory is the limit, and where the number of entries is.
    for entries in [None, Some(200)] {
        let memory = Memory::new(SIZE);
        let map = memory.open(&MapOptions { entries, ..MapOptions::new(SIZE) }).unwrap();
        let load = ours(&map, &[]);
        (0..20_000u32).for_each(|number| _ = map.insert(&number.to_le_bytes(), &[1; 100], &PLAIN).unwrap());
        let stats = map.stats();
        assert!(stats.evictions > 15_000, "{stats:?}");
        assert_eq!(stats.sets, 20_000, "a load is no entry");
        assert!(matches!(begin(&map, &[]), Step::Wait(_)), "nobody else loads it");
        assert!(map.finish_load(b"key", load, b"value", &PLAIN).unwrap().is_some());
    }
}
