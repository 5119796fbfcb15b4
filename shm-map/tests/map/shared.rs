//! What several owners, and several openers, have of a map.

use crate::common::{EBUSY, Memory, backend, live};
use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_map::{EntryOptions, Map, MapError, MapOptions, SegmentMap, layout};
use shm_sync::Mutex;
use std::{num::NonZeroUsize, sync::Barrier, time::Duration};

const SIZE: u64 = 256 << 10;
const PLAIN: EntryOptions<'static> = EntryOptions { ttl: None, tags: &[], encoding: 0 };

fn options() -> MapOptions {
    MapOptions { shards: Some(1), tag_slots: Some(64), ..MapOptions::new(SIZE) }
}

/// The mutex of the only shard, for another owner.
fn mutex(memory: &Memory) -> Mutex<'_> {
    let offset = layout::header::TAGS + 64 * 4 + layout::shard::MUTEX;
    let region = memory.region(shm_api::Access::ReadWrite);
    Mutex::open(region, offset, live()).unwrap().for_owner(live().new_owner().unwrap())
}

#[test]
fn a_stopped_writer_delays_only_writers_and_they_change_nothing() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&options()).unwrap().lock_timeout(Duration::from_millis(5));
    map.insert(b"key", b"value", &PLAIN).unwrap();
    let stopped = mutex(&memory);
    stopped.lock().unwrap().keep();
    let busy = map.insert(b"key", b"other", &PLAIN).unwrap_err();
    assert_eq!((&busy, busy.errno()), (&MapError::Busy, Some(EBUSY)));
    assert_eq!(map.remove(b"key"), Err(MapError::Busy));
    let mut value = Vec::new();
    assert!(map.get(b"key", &mut value).unwrap().is_some());
    assert_eq!(value, b"value");
    let seen = map.view(b"key").unwrap().unwrap().seen();
    assert!(map.is_unchanged(&seen));
    map.clear().unwrap();
    assert!(!map.contains(b"key").unwrap() && map.is_empty(), "a clearing waits for nobody");
    assert!(!map.is_unchanged(&seen));
    stopped.unlock().unwrap();
    map.insert(b"key", b"other", &PLAIN).unwrap();
    assert_eq!(map.len(), 1);
}

#[test]
fn the_lock_of_a_killed_writer_is_taken_over_and_counted() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&options()).unwrap();
    (0..10u8).for_each(|key| _ = map.insert(&[key], b"", &PLAIN).unwrap());
    let region = memory.region(shm_api::Access::ReadWrite);
    let offset = layout::header::TAGS + 64 * 4 + layout::shard::MUTEX;
    let dead = live().new_owner().unwrap();
    Mutex::open(region, offset, live()).unwrap().for_owner(dead).lock().unwrap().keep();
    live().retire(dead);
    map.insert(b"more", b"", &PLAIN).unwrap();
    assert_eq!((map.len(), map.stats().owners_died), (11, 1));
}

fn open_at_once<B: Backend>(backend: &B, key: &Key) {
    let (count, barrier) = (6, Barrier::new(6));
    std::thread::scope(|scope| {
        for thread in 0..count {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let opened = SegmentMap::open(backend, key, &options(), |segment| segment).unwrap();
                opened.map().insert(&[thread], b"", &PLAIN).unwrap();
                barrier.wait();
                assert_eq!(opened.map().len(), 6, "it is one map");
                barrier.wait();
            });
        }
    });
    let gone = SegmentMap::open(backend, key, &MapOptions::default(), |segment| segment).unwrap_err();
    assert_eq!(gone, MapError::Fresh { key: Some(key.clone()) }, "it went with its last holder");
}

#[test]
fn several_processes_open_a_map_by_its_key_at_the_same_moment() {
    open_at_once(&backend(), &Key::random().unwrap());
    #[cfg(unix)]
    open_at_once(&shm_sysv::SysV::new(), &Key::random().unwrap());
}

#[test]
fn a_half_made_map_is_completed() {
    let backend = backend();
    let size = CreateOptions::new(NonZeroUsize::new(SIZE as usize).unwrap());
    let half = backend.create_anywhere(&size).unwrap();
    let live = shm_sync::Live::own().unwrap();
    half.write(layout::header::LIVE, &live.file_id().to_le_bytes());
    half.write(layout::header::MEMORY, &SIZE.to_le_bytes());
    let key = half.key().clone();
    let other = MapOptions { memory: Some(SIZE - 4096), ..options() };
    let fresh = SegmentMap::open(&backend, &key, &MapOptions::default(), |segment| segment).unwrap_err();
    assert_eq!(fresh, MapError::Fresh { key: Some(key.clone()) });
    let differs = SegmentMap::open(&backend, &key, &other, |segment| segment).unwrap_err();
    assert_eq!(differs, MapError::Options { option: "memory", found: SIZE, wanted: SIZE - 4096 });
    let opened = SegmentMap::open(&backend, &key, &options(), |segment| segment).unwrap();
    opened.map().insert(b"key", b"value", &PLAIN).unwrap();
    let read_only = SegmentMap::open_read_only(&backend, &key, &MapOptions::default()).unwrap();
    assert!(read_only.map().contains(b"key").unwrap() && read_only.map().is_read_only());
}

#[test]
fn a_map_of_another_version_is_an_error_that_says_so() {
    let memory = Memory::new(SIZE);
    let magic = memory.region(shm_api::Access::ReadWrite);
    let magic = magic.cell(layout::header::MAGIC).unwrap();
    magic.store(u32::from_le_bytes(*b"syH\x09"), std::sync::atomic::Ordering::Relaxed);
    assert_eq!(memory.open(&options()).unwrap_err(), MapError::Version { found: 9, known: 1 });
    magic.store(7, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(memory.open(&options()).unwrap_err(), MapError::Foreign { found: 7 });
}

#[test]
fn threads_share_a_map() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions { evict: Some(false), shards: None, ..options() }).unwrap();
    // A thread that holds the lock may have to wait for a processor.
    let (map, barrier) = (map.lock_timeout(Duration::from_secs(1000)), Barrier::new(4));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (map, barrier): (&Map<'_>, _) = (&map, &barrier);
            scope.spawn(move || {
                barrier.wait();
                (0..20_000).for_each(|_| _ = map.increment(b"n", 1.0, None).unwrap());
            });
        }
    });
    assert_eq!(map.increment(b"n", 0.0, None).unwrap().value, 80_000.0);
}

#[test]
fn as_many_entries_fit_as_memory_for_was_asked_about() {
    // In many of these, the entries are few for so many shards, and lie in the shards unevenly.
    let few = [(8, 100_000), (20, 300_000)].repeat(20);
    let all = [(100, 100), (3000, 100), (20_000, 100), (1, 20_000), (2, 20_000), (1, 0)];
    for (entries, length) in all.into_iter().chain(few) {
        let memory = MapOptions::memory_for(entries, 16, length);
        let options = MapOptions { evict: Some(false), entries: Some(entries), ..MapOptions::new(memory) };
        let memory = Memory::new(memory);
        let map = memory.open(&options).unwrap();
        for number in 0..entries {
            map.insert(format!("{number:016}").as_bytes(), &vec![1; length], &PLAIN).unwrap();
        }
        assert_eq!(map.len(), entries as usize);
    }
}

#[test]
fn memory_for_some_shards_is_for_long_values_and_every_size_has_an_answer() {
    let shards = 2;
    let memory = MapOptions::memory_for_shards(shards, 30, 16, 3_000_000);
    assert!(memory < MapOptions::memory_for(30, 16, 3_000_000));
    let options =
        MapOptions { evict: Some(false), shards: Some(shards), entries: Some(30), ..MapOptions::new(memory) };
    let memory = Memory::new(memory);
    let map = memory.open(&options).unwrap();
    (0..30u8).for_each(|key| _ = map.insert(&[key], &vec![key; 3_000_000], &PLAIN).unwrap());
    assert!(MapOptions::memory_for(u32::MAX, 1024, usize::MAX) >= 1 << 44);
}
