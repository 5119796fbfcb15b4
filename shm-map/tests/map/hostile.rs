//! Whatever other processes write: no panic, no hang, no access outside. The memory lies between pages that cannot be
//! touched, so an access outside would end the test.

use crate::common::live;
use proptest::prelude::*;
use shm_api::{Access, racy_copy};
use shm_map::{Cursor, EntryOptions, Map, MapError, MapOptions, inspect::describe, layout};
use shm_sync::{Mutex, Region, Step};
use std::{
    ptr::{self, NonNull},
    time::Duration,
};

const SIZE: usize = 64 << 10;
const PAGE: usize = 4096;

struct Guarded(*mut libc::c_void);

impl Guarded {
    fn new() -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address of the system's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), SIZE + 2 * PAGE, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let guarded = Self(start);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: all but the first page and the last.
        let answer = unsafe { libc::mprotect(guarded.start().as_ptr().cast(), SIZE, protection) };
        assert_eq!(answer, 0);
        guarded
    }

    fn start(&self) -> NonNull<u8> {
        // SAFETY: the second of the pages.
        let start = unsafe { self.0.add(PAGE) };
        NonNull::new(start.cast()).unwrap()
    }

    fn region(&self) -> Region<'_> {
        // SAFETY: the pages are there as long as `self`.
        unsafe { Region::from_raw(self.start(), SIZE, Access::ReadWrite) }
    }

    fn write(&self, at: usize, word: u32) {
        self.region().cell(at / 4 * 4).unwrap().store(word, std::sync::atomic::Ordering::Relaxed);
    }

    fn word(&self, at: usize) -> u32 {
        self.region().cell(at).unwrap().load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        unsafe { libc::munmap(self.0, SIZE + 2 * PAGE) };
    }
}

/// Random words, with those that make trouble more often.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => any::<u32>(),
        2 => Just(0),
        2 => Just(u32::MAX),
        2 => 0..600u32,
        1 => (0..32u32).prop_map(|bit| 1 << bit),
        1 => (0..64u32).prop_map(|less| u32::MAX - less),
    ]
}

fn accept<T>(result: Result<T, MapError>) -> Option<T> {
    // Every error is fine, as long as it is one and can be told.
    result.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}

/// What is told of it without opening it.
fn look_at(memory: &Guarded) {
    let segment = memory.region();
    let mut source = |offset: usize, target: &mut [u8]| {
        let count = target.len().min(SIZE.saturating_sub(offset));
        if count > 0 {
            // SAFETY: `offset` is inside.
            let start = unsafe { segment.as_ptr().add(offset) };
            // SAFETY: `count` bytes are there on both sides.
            unsafe { racy_copy(start, NonNull::from(target).cast(), count) };
        }
        count
    };
    for size in [SIZE, SIZE / 2, 100, usize::MAX] {
        accept(describe(&mut source, size));
    }
}

/// All that one can do with a map.
fn use_it(map: &Map<'_>) {
    let mut seen = Vec::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for number in 0..30u32 {
        let name = number.to_le_bytes();
        let tags: &[&str] = if number % 5 == 0 { &["tag"] } else { &[] };
        let ttl = (number % 4 == 0).then_some(Duration::from_secs(1000));
        let options = EntryOptions { ttl, tags, encoding: 0 };
        accept(map.get(&name, &mut value));
        accept(map.get_into(&name, &mut [0; 50]));
        accept(map.insert(&name, &vec![1; number as usize * 37], &options));
        let version = accept(map.find(&name)).flatten().map_or(0, |found| found.version);
        accept(map.replace(&name, version, &[2; 300], &options));
        accept(map.add(&name, &[2; 300], &options));
        accept(map.touch(&name, ttl));
        accept(map.increment(&[number as u8], 1.0, ttl));
        if let Some(Some(view)) = accept(map.view(&name)) {
            view.is_whole();
            seen.push(view.seen());
        }
        seen.iter().for_each(|seen| _ = map.is_unchanged(seen));
        if let Some(Step::Ready(Some(load))) = accept(map.begin_load(b"load", Duration::from_secs(1), tags)) {
            accept(map.finish_load(b"load", load, &[3; 100], &options));
        }
        if number % 3 == 0 {
            accept(map.remove(&name));
        }
    }
    let mut cursor = Cursor::default();
    while let Some(Some(_)) = accept(map.next(&mut cursor, &mut key, &mut value)) {}
    accept(map.invalidate_tags(&["tag"]));
    map.stats();
    accept(map.clear());
}

fn options(evict: bool) -> MapOptions {
    let size = SIZE as u64;
    MapOptions { evict: Some(evict), shards: Some(2), tag_slots: Some(64), ..MapOptions::new(size) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// The map was opened before somebody wrote over it.
    #[test]
    fn bytes_that_others_write_do_no_harm(
        evict: bool,
        places in proptest::collection::vec((0..SIZE, word()), 1..200),
        whole in proptest::option::of((word(), 0..SIZE, 0..SIZE)),
    ) {
        let memory = Guarded::new();
        let map = Map::open(memory.region(), &options(evict), live()).unwrap().lock_timeout(Duration::from_millis(1));
        use_it(&map);
        use_it(&map);
        (0..50u32).for_each(|number| _ = map.insert(&number.to_le_bytes(), &[7; 200], &EntryOptions::default()));
        for (at, word) in &places {
            memory.write(*at, *word);
        }
        if let Some((word, from, to)) = whole {
            (from..to).step_by(4).for_each(|at| memory.write(at, word));
        }
        use_it(&map);
        look_at(&memory);
        if let Some(map) = accept(Map::open(memory.region(), &MapOptions::default(), live())) {
            use_it(&map.lock_timeout(Duration::from_millis(1)));
        }
    }

    /// The same where it matters: heads, tails, slots and the headers of records, which still look like some.
    #[test]
    fn numbers_that_are_slightly_wrong_do_no_harm(
        evict: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), -40..40i32), 1..40),
    ) {
        let memory = Guarded::new();
        let map = Map::open(memory.region(), &options(evict), live()).unwrap().lock_timeout(Duration::from_millis(1));
        use_it(&map);
        (0..90u32).for_each(|number| _ = map.insert(&number.to_le_bytes(), &[7; 200], &EntryOptions::default()));
        let words: Vec<usize> =
            (layout::header::CLEARED..SIZE).step_by(4).filter(|at| memory.word(*at) != 0).collect();
        for (index, by) in changes {
            let at = *index.get(&words);
            memory.write(at, memory.word(at).wrapping_add_signed(by));
        }
        use_it(&map);
        use_it(&map);
    }
}

/// A map of one shard whose main ring ends where the memory ends, and where that shard is.
fn one_shard(memory: &Guarded) -> (Map<'_>, usize) {
    let options = MapOptions { shards: Some(1), ..options(false) };
    let map = Map::open(memory.region(), &options, live()).unwrap().lock_timeout(Duration::from_secs(60));
    (map, (layout::header::TAGS + 64 * 4).next_multiple_of(64))
}

/// The last granule becomes a record without a key.
fn end_with_a_skip(memory: &Guarded, at: usize, meta: u32) {
    memory.write(at + layout::record::META, layout::record::SKIP | meta);
    memory.write(at + layout::record::LENGTH, 1);
}

#[test]
fn a_counter_that_a_dead_owner_changed_may_be_no_record() {
    let memory = Guarded::new();
    let (map, shard) = one_shard(&memory);
    let owner = live().new_owner().unwrap();
    let mutex = Mutex::open(memory.region(), shard + layout::shard::MUTEX, live()).unwrap();
    mutex.for_owner(owner).lock().unwrap().keep();
    live().retire(owner);
    end_with_a_skip(&memory, SIZE - layout::record::GRANULE, 0);
    memory.write(shard + layout::shard::COUNTING, memory.word(layout::header::MAIN) - 1);
    memory.write(shard + layout::shard::COUNTING + 4, (layout::slot::MAIN >> 32) as u32);
    accept(map.insert(b"key", b"value", &EntryOptions::default()));
    assert_eq!(map.stats().owners_died, 1);
}

#[test]
fn an_entry_that_was_seen_may_be_no_record_any_more() {
    let memory = Guarded::new();
    let (map, _) = one_shard(&memory);
    let options = EntryOptions { ttl: Some(Duration::from_secs(1000)), ..EntryOptions::default() };
    let end = memory.start().addr().get() + SIZE;
    // Until it lies at the end.
    let view = loop {
        map.insert(b"key", &[1; 100], &options).unwrap();
        let view = map.view(b"key").unwrap().unwrap();
        if view.as_ptr().addr().get() + 1000 > end {
            break view;
        }
    };
    assert!(map.is_unchanged(&view.seen()));
    // The header, the key and the time.
    let at = SIZE - (end - view.as_ptr().addr().get()) - layout::record::KEY - 8 - 8;
    end_with_a_skip(&memory, at, layout::record::EXPIRES | layout::record::KEY_LENGTH);
    assert!(!map.is_unchanged(&view.seen()));
}

#[test]
fn the_largest_record_may_have_any_size() {
    let memory = Guarded::new();
    let (map, shard) = one_shard(&memory);
    map.insert(b"key", b"value", &EntryOptions::default()).unwrap();
    [0, 4].into_iter().for_each(|half| memory.write(shard + layout::shard::LARGEST + half, u32::MAX));
    assert_eq!(map.insert(b"key", b"other", &EntryOptions::default()), Err(MapError::Full));
}

#[test]
fn an_entry_that_readers_do_not_find_is_loaded() {
    let memory = Guarded::new();
    let (map, shard) = one_shard(&memory);
    map.insert(b"key", b"value", &EntryOptions::default()).unwrap();
    // The tail has passed it, but its slot stays.
    memory.write(shard + layout::shard::TAILS[1], memory.word(shard + layout::shard::HEADS[1]));
    assert!(!map.contains(b"key").unwrap());
    let begun = accept(map.begin_load(b"key", Duration::from_secs(1), &[]));
    assert!(!matches!(begun, Some(Step::Ready(None))), "the caller would look again and again");
}
