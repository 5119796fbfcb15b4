//! What a map does for one who uses it alone.

use crate::common::Memory;
use shm_api::Access;
use shm_map::{Counted, Cursor, EntryOptions, Map, MapError, MapOptions, NUMBER};
use std::{collections::BTreeMap, time::Duration};

const SIZE: u64 = 1 << 20;
const PLAIN: EntryOptions<'static> = EntryOptions { ttl: None, tags: &[], encoding: 0 };

fn keeping(memory: u64) -> MapOptions {
    MapOptions { evict: Some(false), ..MapOptions::new(memory) }
}

fn value(map: &Map<'_>, key: &str) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    map.get(key.as_bytes(), &mut value).unwrap().map(|found| {
        assert_eq!(found.length, value.len());
        value
    })
}

fn both(test: impl Fn(&Map<'_>)) {
    for options in [MapOptions::new(SIZE), keeping(SIZE)] {
        let memory = Memory::new(SIZE);
        test(&memory.open(&options).unwrap());
    }
}

#[test]
fn an_inserted_entry_is_found_until_it_is_removed() {
    both(|map| {
        assert_eq!(value(map, "one"), None);
        map.insert(b"one", b"1", &PLAIN).unwrap();
        map.insert(b"two", b"2", &PLAIN).unwrap();
        assert_eq!(value(map, "one").unwrap(), b"1");
        map.insert(b"one", &[7; 1000], &PLAIN).unwrap();
        assert_eq!(value(map, "one").unwrap(), [7; 1000]);
        assert!(map.contains(b"two").unwrap() && map.len() == 2);
        assert!(map.remove(b"one").unwrap() && !map.remove(b"one").unwrap());
        assert_eq!((value(map, "one"), value(map, "two").unwrap(), map.len()), (None, b"2".to_vec(), 1));
    });
}

#[test]
fn keys_and_values_may_be_empty_and_keys_of_all_lengths_differ() {
    both(|map| {
        map.insert(b"", b"", &PLAIN).unwrap();
        assert_eq!(value(map, "").unwrap(), b"");
        for length in 1..=1024 {
            map.insert(&vec![b'x'; length], &(length as u32).to_le_bytes(), &PLAIN).unwrap();
        }
        for length in 1..=1024usize {
            let mut found = [0; 4];
            map.get_into(&vec![b'x'; length], &mut found).unwrap().unwrap();
            assert_eq!(u32::from_le_bytes(found), length as u32);
        }
        assert!(matches!(map.insert(&[0; 1025], b"", &PLAIN), Err(MapError::OutOfRange { .. })));
        // Zeros fill a key up, and are none of it.
        map.insert(b"a", b"1", &PLAIN).unwrap();
        assert!(!map.contains(b"a\0").unwrap());
    });
}

#[test]
fn a_value_that_does_not_fit_into_the_target_is_not_copied() {
    both(|map| {
        map.insert(b"key", b"value", &PLAIN).unwrap();
        let mut target = [1; 4];
        assert_eq!(map.get_into(b"key", &mut target).unwrap().unwrap().length, 5);
        assert_eq!(target, [1; 4]);
        let mut target = [1; 6];
        map.get_into(b"key", &mut target).unwrap();
        assert_eq!(&target, b"value\x01");
    });
}

#[test]
fn the_same_lookup_once_more_does_not_count() {
    both(|map| {
        map.insert(b"key", b"value", &PLAIN).unwrap();
        let before = map.stats();
        for key in [&b"key"[..], b"none"] {
            let found = map.get_again_with(key, |_, _| {}).unwrap();
            assert_eq!(found.is_some(), map.view_again(key).unwrap().is_some());
        }
        assert_eq!(map.stats(), before);
    });
}

#[test]
fn add_and_replace_write_only_on_their_condition() {
    both(|map| {
        let first = map.add(b"key", b"1", &PLAIN).unwrap().unwrap();
        assert_eq!(map.add(b"key", b"2", &PLAIN).unwrap(), None);
        assert_eq!(map.find(b"key").unwrap().unwrap().version, first);
        let second = map.replace(b"key", first, b"2", &PLAIN).unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(map.replace(b"key", first, b"3", &PLAIN).unwrap(), None);
        assert_eq!(value(map, "key").unwrap(), b"2");
        map.remove(b"key").unwrap();
        assert_eq!(map.replace(b"key", second, b"3", &PLAIN).unwrap(), None);
        let third = map.add(b"key", b"3", &PLAIN).unwrap().unwrap();
        assert!(third > second, "a version never comes again");
    });
}

#[test]
fn numbers_are_incremented_in_place() {
    both(|map| {
        assert_eq!(map.increment(b"n", 1.0, None).unwrap(), Counted { value: 1.0, expires: None });
        let before = map.find(b"n").unwrap().unwrap();
        assert_eq!(map.increment(b"n", 41.0, None).unwrap().value, 42.0);
        let after = map.find(b"n").unwrap().unwrap();
        assert_eq!((after.encoding, after.length), (NUMBER, 8));
        assert_ne!(before.version, after.version);
        assert_eq!(value(map, "n").unwrap(), 42f64.to_le_bytes());
        for by in [0.5, f64::NAN, f64::INFINITY, 2f64.powi(53)] {
            assert_eq!(map.increment(b"n", by, None), Err(MapError::NotANumber));
            assert_eq!(map.increment(b"new", by, None), Err(MapError::NotANumber));
        }
        assert_eq!(map.increment(b"n", 2f64.powi(53) - 42.0, None), Err(MapError::NotANumber));
        map.insert(b"text", b"12345678", &PLAIN).unwrap();
        assert_eq!(map.increment(b"text", 1.0, None), Err(MapError::NotANumber));
        assert_eq!((value(map, "n").unwrap(), value(map, "new")), (42f64.to_le_bytes().to_vec(), None));
    });
}

#[test]
fn invalidating_a_tag_removes_all_entries_that_have_it() {
    both(|map| {
        let tagged = |tags| EntryOptions { tags, ..PLAIN };
        map.insert(b"a", b"", &tagged(&["red", "round"])).unwrap();
        map.insert(b"b", b"", &tagged(&["blue"])).unwrap();
        map.insert(b"c", b"", &PLAIN).unwrap();
        map.invalidate_tags(&["round"]).unwrap();
        assert_eq!(["a", "b", "c"].map(|key| map.contains(key.as_bytes()).unwrap()), [false, true, true]);
        map.insert(b"a", b"", &tagged(&["red", "round"])).unwrap();
        assert!(map.contains(b"a").unwrap(), "it is younger");
        assert!(map.add(b"a", b"", &PLAIN).unwrap().is_none());
        map.invalidate_tags(&["red"]).unwrap();
        assert!(!map.remove(b"a").unwrap());
    });
}

#[test]
fn clear_removes_all_entries() {
    both(|map| {
        for round in 0..3 {
            for key in 0..1000u32 {
                map.insert(&key.to_le_bytes(), &[1; 50], &PLAIN).unwrap();
            }
            assert_eq!(map.len(), 1000, "round {round}");
            map.clear().unwrap();
            assert_eq!((map.len(), map.stats().used), (0, 0));
            assert!((0..1000u32).all(|key| !map.contains(&key.to_le_bytes()).unwrap()));
        }
    });
}

#[test]
fn entries_expire() {
    both(|map| {
        let brief = EntryOptions { ttl: Some(Duration::from_millis(1)), ..PLAIN };
        let long = EntryOptions { ttl: Some(Duration::from_secs(10_000)), ..PLAIN };
        map.insert(b"brief", b"", &brief).unwrap();
        map.insert(b"long", b"1", &long).unwrap();
        map.insert(b"always", b"2", &PLAIN).unwrap();
        let expires = map.find(b"long").unwrap().unwrap().expires.unwrap();
        while map.contains(b"brief").unwrap() {
            std::thread::yield_now();
        }
        assert!(map.touch(b"long", Some(Duration::from_secs(20_000))).unwrap());
        assert!(map.find(b"long").unwrap().unwrap().expires.unwrap() >= expires + 5_000_000);
        assert!(map.touch(b"long", None).unwrap());
        assert_eq!(map.find(b"long").unwrap().unwrap().expires, None);
        assert!(map.touch(b"always", Some(Duration::from_secs(1000))).unwrap());
        assert!(map.find(b"always").unwrap().unwrap().expires.is_some());
        assert_eq!((value(map, "always").unwrap(), value(map, "long").unwrap()), (b"2".into(), b"1".into()));
        assert!(!map.touch(b"brief", None).unwrap());
        assert!(map.increment(b"n", 1.0, Some(Duration::from_secs(100))).unwrap().expires.is_some());
        let first = map.increment(b"n", 1.0, Some(Duration::from_secs(900))).unwrap().expires;
        assert_eq!(map.increment(b"n", 1.0, None).unwrap().expires, first, "from the first increment");
    });
}

#[test]
fn an_iteration_visits_each_entry_once() {
    both(|map| {
        let mut expected = BTreeMap::new();
        for key in 0..2000u32 {
            expected.insert(key.to_le_bytes().to_vec(), vec![key as u8; (key % 50) as usize]);
        }
        for (key, value) in &expected {
            map.insert(key, value, &PLAIN).unwrap();
        }
        let (mut key, mut value, mut found) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut cursor = Cursor::default();
        while map.next(&mut cursor, &mut key, &mut value).unwrap().is_some() {
            assert_eq!(found.insert(key.clone(), value.clone()), None, "once");
        }
        assert_eq!(found, expected);
    });
}

#[test]
fn a_full_map_that_does_not_evict_changes_nothing() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&keeping(SIZE)).unwrap();
    let mut count = 0u64;
    let key = |number: u64| format!("{number:016}");
    while map.insert(key(count).as_bytes(), &[count as u8; 100], &PLAIN).is_ok() {
        count += 1;
    }
    assert!(count * 116 >= SIZE / 2, "{count} entries");
    assert!(map.stats().used <= SIZE / 5 * 4, "there is garbage for those who write again");
    assert_eq!(map.insert(key(count).as_bytes(), &[0; 100], &PLAIN), Err(MapError::Full));
    for number in 0..count {
        assert_eq!(value(&map, &key(number)).unwrap(), [number as u8; 100]);
    }
    // What is there can be written again, for ever.
    for round in 0..3 {
        for number in 0..count {
            map.insert(key(number).as_bytes(), &[round; 100], &PLAIN).unwrap();
        }
    }
    assert!((0..count).all(|number| value(&map, &key(number)).unwrap() == [2; 100]));
    assert_eq!((map.len() as u64, map.stats().evictions), (count, 0));
    // Some of these make room in its shard.
    (0..20).for_each(|number| assert!(map.remove(key(number).as_bytes()).unwrap()));
    map.insert(b"another", &[0; 100], &PLAIN).unwrap();
}

#[test]
fn a_cache_is_never_full() {
    let memory = Memory::new(SIZE);
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    for number in 0..50_000u32 {
        let key = number.to_le_bytes();
        map.insert(&key, &vec![number as u8; (number % 500) as usize], &PLAIN).unwrap();
        assert!(map.contains(&key).unwrap());
    }
    let stats = map.stats();
    assert!(stats.evictions > 40_000 && stats.used > SIZE / 2, "{stats:?}");
}

#[test]
fn options_are_those_of_the_creator() {
    let memory = Memory::new(SIZE);
    assert_eq!(memory.open(&MapOptions::default()).unwrap_err(), MapError::Fresh { key: None });
    let map = memory.open(&MapOptions { entries: Some(500), ..keeping(SIZE) }).unwrap();
    let found = memory.open(&MapOptions::default()).unwrap().options();
    assert_eq!(found, map.options());
    assert_eq!((found.entries, found.evict), (Some(500), Some(false)));
    let other = memory.open(&MapOptions { entries: Some(501), ..MapOptions::default() }).unwrap_err();
    assert_eq!(other, MapError::Options { option: "entries", found: 500, wanted: 501 });
    assert!(matches!(memory.open(&MapOptions::new(SIZE - 64)), Err(MapError::Options { .. })));
    let cache =
        memory.open(&MapOptions { evict: Some(true), ..MapOptions::default() }).unwrap_err().to_string();
    assert!(cache.contains("created with evict=false, opened with evict=true"), "{cache}");
    let shorter =
        memory.open(&MapOptions { max_value: Some(1), ..MapOptions::default() }).unwrap_err().to_string();
    assert!(shorter.contains("opened with max_value=1"), "{shorter}");
}

#[test]
fn a_read_only_map_reads_and_refuses_to_write() {
    let memory = Memory::new(SIZE);
    let read_only = || Map::open_read_only(memory.region(Access::ReadOnly), &MapOptions::default());
    assert_eq!(read_only().unwrap_err(), MapError::Fresh { key: None });
    let map = memory.open(&MapOptions::new(SIZE)).unwrap();
    map.insert(b"key", b"value", &PLAIN).unwrap();
    let reader = read_only().unwrap();
    assert_eq!(value(&reader, "key").unwrap(), b"value");
    assert_eq!(reader.insert(b"key", b"", &PLAIN), Err(MapError::ReadOnly));
    assert_eq!(reader.clear(), Err(MapError::ReadOnly));
    assert_eq!(reader.increment(b"n", 1.0, None), Err(MapError::ReadOnly));
    assert_eq!(map.stats().hits, 0, "it leaves no trace");
}

#[test]
fn a_view_says_if_its_bytes_were_overwritten() {
    let memory = Memory::new(64 << 10);
    let map = memory.open(&MapOptions::new(64 << 10)).unwrap();
    map.insert(b"key", b"value", &PLAIN).unwrap();
    let view = map.view(b"key").unwrap().unwrap();
    // SAFETY: they are in the map, and nobody writes to them meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts(view.as_ptr().as_ptr(), view.found().length) };
    assert_eq!(bytes, b"value");
    assert!(view.is_whole());
    for number in 0..2000u32 {
        map.insert(&number.to_le_bytes(), &[0; 100], &PLAIN).unwrap();
    }
    assert!(!view.is_whole());
}

#[test]
fn an_entry_that_was_seen_is_unchanged_until_it_is_another_one() {
    let long = Some(Duration::from_secs(1000));
    let tagged = EntryOptions { tags: &["tag"], ..PLAIN };
    let brief = EntryOptions { ttl: long, ..PLAIN };
    let number = EntryOptions { encoding: NUMBER, ..PLAIN };
    type Change<'c> = (&'c EntryOptions<'c>, &'c dyn Fn(&Map<'_>));
    let changes: [Change<'_>; 7] = [
        (&PLAIN, &|map| _ = map.insert(b"key", &[0; 8], &PLAIN).unwrap()),
        (&PLAIN, &|map| _ = map.remove(b"key").unwrap()),
        (&PLAIN, &|map| map.clear().unwrap()),
        (&tagged, &|map| map.clear().unwrap()),
        (&tagged, &|map| map.invalidate_tags(&["tag"]).unwrap()),
        (&number, &|map| _ = map.increment(b"key", 1.0, None).unwrap()),
        (&brief, &|map| {
            map.touch(b"key", Some(Duration::from_millis(1))).unwrap();
            while map.contains(b"key").unwrap() {
                std::thread::yield_now();
            }
        }),
    ];
    both(|map| {
        for (turn, (options, change)) in changes.iter().enumerate() {
            map.insert(b"key", &[0; 8], options).unwrap();
            let seen = map.view(b"key").unwrap().unwrap().seen();
            map.insert(b"other", b"", &PLAIN).unwrap();
            map.invalidate_tags(&["other"]).unwrap();
            let hits = map.stats().hits;
            assert!(map.is_unchanged(&seen) && map.is_unchanged(&seen), "turn {turn}");
            assert_eq!(map.stats().hits, hits + 2, "they count");
            change(map);
            let lookups = map.stats();
            assert!(!map.is_unchanged(&seen), "turn {turn}");
            assert_eq!(map.stats(), lookups, "to look it up counts");
        }
    });
}

#[test]
fn an_entry_that_was_moved_is_to_be_looked_up_and_has_its_version() {
    let memory = Memory::new(64 << 10);
    let map = memory.open(&MapOptions { shards: Some(1), ..keeping(64 << 10) }).unwrap();
    map.insert(b"key", b"value", &PLAIN).unwrap();
    let seen = map.view(b"key").unwrap().unwrap().seen();
    while map.is_unchanged(&seen) {
        map.insert(b"other", &[1; 500], &PLAIN).unwrap();
    }
    let again = map.view(b"key").unwrap().unwrap().seen();
    assert_eq!(again.version(), seen.version());
    assert!(map.is_unchanged(&again));
}

#[test]
fn the_longest_value_fits_and_a_longer_one_is_refused() {
    both(|map| {
        let most = map.options().max_value.unwrap() as usize;
        for round in 0..5u8 {
            map.insert(b"key", &vec![round; most], &PLAIN).unwrap();
            map.insert(b"other", &[round; 10], &PLAIN).unwrap();
            assert_eq!(value(map, "key").unwrap(), vec![round; most]);
        }
        let longer = map.insert(b"key", &vec![0; most + 1], &PLAIN).unwrap_err();
        assert_eq!(longer, MapError::TooLong { length: most + 1, most });
        assert_eq!(value(map, "other").unwrap(), [4; 10]);
    });
}

#[test]
fn a_refused_value_is_told_how_long_it_could_be_with_its_key_and_tags() {
    let size = 32 << 10;
    let memory = Memory::new(size);
    let map =
        memory.open(&MapOptions { entries: Some(50), shards: Some(4), ..MapOptions::new(size) }).unwrap();
    let length = map.options().max_value.unwrap() as usize;
    for (key, tags) in [(1, 128), (1024, 0), (500, 60)] {
        let (key, tags) = (vec![b'k'; key], vec!["tag"; tags]);
        let options = EntryOptions { tags: &tags, ttl: Some(Duration::from_secs(1000)), ..PLAIN };
        let refused = map.insert(&key, &vec![0; length], &options).unwrap_err();
        let MapError::TooLong { length: told, most } = refused else { panic!("{refused}") };
        assert!(told == length && most < length, "{most} of {length}");
        map.insert(&key, &vec![0; most], &options).unwrap();
        let longer = map.insert(&key, &vec![0; most + 1], &options).unwrap_err();
        assert_eq!(longer, MapError::TooLong { length: most + 1, most });
    }
}

#[test]
fn an_entry_of_a_cache_takes_48_bytes_at_most_besides_key_and_value() {
    let size = 8 << 20;
    let memory = Memory::new(size);
    let map = memory.open(&MapOptions::new(size)).unwrap();
    for number in 0..100_000u32 {
        map.insert(format!("{number:016}").as_bytes(), &[1; 100], &PLAIN).unwrap();
    }
    let beside = size as f64 / map.len() as f64 - 116.0;
    assert!(beside <= 48.0, "{beside} bytes beside each of {} entries", map.len());
}
