//! `docs/layout.md` and `protocol/layout.rs` say the same: every row of a table stands for a constant, and the other
//! way round. And the page is enough to write a reader in Python: this runs the one that stands there.

use crate::common::{Memory, live};
use shm_api::Access;
use shm_map::{
    EntryOptions, Map, MapOptions,
    layout::{MAGIC, bucket, header, record, shard, slot},
};
use std::{process::Command, time::Duration};

const PAGE: &str = include_str!("../../../docs/layout.md");

/// The table of the map's section whose first column is called so: the first two cells of each row.
fn table(column: &str) -> Vec<(String, String)> {
    let section = PAGE.split("\n## ").find(|part| part.starts_with("Map\n")).unwrap();
    let lines: Vec<&str> = section.lines().collect();
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut tables = lines.split(|line| !line.starts_with('|')).filter(|table| table.len() > 2);
    let table =
        tables.find(|table| cells(table[0])[0] == column).unwrap_or_else(|| panic!("no table of {column}"));
    table[2..].iter().map(|line| (cells(line)[0].clone(), cells(line)[1].clone())).collect()
}

fn compare(column: &str, expected: &[(String, &str)]) {
    let table = table(column);
    let places: Vec<&String> = table.iter().map(|row| &row.0).collect();
    assert_eq!(places, expected.iter().map(|row| &row.0).collect::<Vec<_>>(), "{column}");
    for ((place, found), (_, means)) in table.iter().zip(expected) {
        assert!(found.starts_with(means), "{column}, at {place}: {found:?}, not {means:?}");
    }
}

fn offsets(column: &str, expected: &[(usize, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(offset, means)| (offset.to_string(), *means)).collect();
    compare(column, &expected);
}

fn bits(mask: u64) -> String {
    let (first, last) = (mask.trailing_zeros(), 63 - mask.leading_zeros());
    assert_eq!(mask.count_ones(), last - first + 1, "they lie together");
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

#[test]
fn each_word_is_at_the_offset_that_the_page_says() {
    let mut words: Vec<_> = [
        (header::MAGIC, "magic: the bytes `s`, `y`, `H`, version 1"),
        (header::LIVE, "id of the live file"),
        (header::MEMORY, "memory"),
        (header::ENTRIES, "entries"),
        (header::SHARDS, "shards"),
        (header::KIND, "kind: 1 a cache, 2 a map that does not evict"),
        (header::MAX_VALUE, "longest value"),
        (header::TAG_SLOTS, "tag slots"),
        (header::BUCKETS, "buckets of the index"),
        (header::SMALL, "granules of each small ring, plus 1"),
        (header::MAIN, "granules of each main ring"),
        (header::GHOSTS, "buckets of each ghost table, plus 1"),
        (header::SEED, "seed, 128 bits"),
        (header::CLEARED, "generation"),
        (
            header::INVALIDATED,
            "number of invalidations: each clearing adds 1, each invalidation of a tag adds 2",
        ),
    ]
    .map(|(offset, means)| (offset.to_string(), means))
    .into();
    let line = format!("line i of {}: hits and, at {}, misses", header::LINE_COUNT, header::MISSES);
    words.push((format!("{} + {} × i", header::LINES, header::LINE_SIZE), &line));
    words.push((format!("{} + 4 × i", header::TAGS), "generation of tag slot i"));
    compare("offset", &words);
    assert_eq!((header::CACHE, header::KEEP, header::HITS), (1, 2, 0));
    assert!(table("offset")[0].1.ends_with(&format!("{MAGIC:#010x}")));

    offsets(
        "offset in the shard",
        &[
            (shard::MUTEX, "mutex"),
            (shard::ENTRIES, "entries"),
            (shard::VERSION, "version"),
            (shard::LIVE[0], "live granules of the small ring"),
            (shard::LIVE[1], "live granules of the main ring"),
            (shard::GENERATION, "generation"),
            (shard::COUNTING, "slot of the counter"),
            (shard::HEADS[0], "head of the small ring"),
            (shard::HEADS[1], "head of the main ring"),
            (shard::LARGEST, "largest record"),
            (shard::SOONEST, "earliest time at which"),
            (shard::SWEEP[1], "position of the sweep in the main ring"),
            (shard::SWEEP_SOONEST, "earliest time of expiry that the sweep"),
            (shard::SWEEP_INVALIDATED, "number of invalidations when the sweep"),
            (shard::GHOST_CLOCK, "evictions from the small ring"),
            (shard::TAILS[0], "tail of the small ring"),
            (shard::TAILS[1], "tail of the main ring"),
            (shard::CHANGING, "slot that is being changed"),
            (shard::CHANGED, "what that slot held"),
            (shard::NEXT[0], "entries and loads after"),
            (shard::NEXT[1], "live granules of the small and the main ring after"),
            (shard::SETS, "sets"),
            (shard::EVICTIONS, "evictions"),
            (shard::EXPIRED, "expired"),
            (shard::MOVES, "moves"),
            (shard::OWNERS_DIED, "owners that died"),
            (shard::LOADS, "loads under way"),
            (shard::LOADED, "word (32 bits) on which owners sleep"),
            (shard::SWEEP[0], "position of the sweep in the small ring"),
        ],
    );
    assert!(PAGE.contains(&format!("the shards, {} bytes each", shard::SIZE)));
    let slots = format!("slot i of {}", bucket::SLOTS);
    let expected = [
        ("0 + 8 × i".to_owned(), &slots[..]),
        (format!("{} + i", bucket::FREQUENCIES), "frequency of slot i"),
        (bucket::PASSES.to_string(), "passes"),
    ];
    compare("offset in the bucket", &expected);
    assert!(PAGE.contains(&format!("the index, {} bytes a bucket", bucket::SIZE)));
    offsets(
        "offset in a record",
        &[
            (record::HASH, "hash"),
            (record::META, "description of the record"),
            (record::LENGTH, "length of the value"),
            (record::GENERATION, "generation"),
            (record::VERSION, "version"),
            (record::KEY, "key"),
        ],
    );
    assert!(PAGE.contains(&format!("the main one, {} bytes a granule", record::GRANULE)));
}

#[test]
fn each_bit_means_what_the_page_says() {
    let expected = [(slot::POSITION, "position"), (slot::MAIN, "main ring"), (slot::TAG, "tag")];
    assert_eq!(expected.iter().fold(0, |all, row| all | row.0), u64::MAX);
    compare("bits of a slot", &expected.map(|(mask, means)| (bits(mask), means)));
    let expected = [
        (record::KEY_LENGTH, "length of the key"),
        (record::TAG_COUNT, "number of tags"),
        (record::ENCODING, "encoding"),
        (1 << 27, "not used"),
        (record::DEAD, "`DEAD`"),
        (record::EXPIRES, "`EXPIRES`"),
        (record::LOAD, "`LOAD`"),
        (record::SKIP, "`SKIP`"),
    ];
    assert_eq!(expected.iter().fold(0, |all, row| all | row.0), u32::MAX);
    compare("bits of the description", &expected.map(|(mask, means)| (bits(mask.into()), means)));
}

#[test]
fn a_reader_in_python_finds_entries_while_they_are_moved() {
    let section = PAGE.split("\n## Map\n").nth(1).unwrap();
    let reader = section.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let program = format!(
        "{reader}
import sys
file = open(sys.argv[1], 'rb')
map = Map(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
for turn in range(3):
    for number in range(1000):
        value = map.get(b'key %d' % number)
        if number % 10 == 9:
            assert value is None, number
        else:
            assert value is not None, (turn, number)
            assert value[:4] == number.to_bytes(4, 'little') and len(set(value[4:])) <= 1, (number, value)
assert map.get(b'\\0' * 40) == b'zeros' and map.get(b'\\0' * 39) is None
print('found all')
"
    );
    for evict in [false, true] {
        // A cache with room for all, so that nothing is evicted.
        let size = if evict { 1 << 20 } else { 400 << 10 };
        let memory = Memory::new(size);
        let options = MapOptions { evict: Some(evict), entries: Some(1010), ..MapOptions::new(size) };
        let map = Map::open(memory.region(Access::ReadWrite), &options, live()).unwrap();
        let write = |number: u32, turn: u8| {
            let tags: &[&str] = if number.is_multiple_of(7) { &["tag", "other"] } else { &[] };
            let ttl = number.is_multiple_of(3).then_some(Duration::from_secs(10_000));
            let value = [&number.to_le_bytes()[..], &vec![turn; number as usize % 200]].concat();
            map.insert(format!("key {number}").as_bytes(), &value, &EntryOptions { ttl, tags, encoding: 0 })
                .unwrap();
        };
        map.insert(&[0; 40], b"zeros", &EntryOptions::default()).unwrap();
        (0..1000).for_each(|number| write(number, 0));
        // Some are invalid.
        for number in (9..1000).step_by(10) {
            let gone = EntryOptions { tags: &["gone"], ..EntryOptions::default() };
            map.insert(format!("key {number}").as_bytes(), b"", &gone).unwrap();
        }
        map.invalidate_tags(&["gone"]).unwrap();
        let python = Command::new("python3")
            .args(["-c", &program, &memory.name()])
            .stdout(std::process::Stdio::piped())
            .spawn();
        let mut python = match python {
            Ok(python) => python,
            Err(error) => {
                let allowed = std::env::var("SHM_TESTS_NO_SKIP").as_deref() != Ok("1");
                assert!(allowed, "skipped, no python3: {error}");
                return eprintln!("skipped, no python3: {error}");
            }
        };
        let mut turn = 0u8;
        while python.try_wait().unwrap().is_none() {
            turn = turn.wrapping_add(1);
            (0..1000).filter(|number| number % 10 < 5).for_each(|number| write(number, turn));
        }
        assert_eq!(python.wait_with_output().unwrap().stdout, b"found all\n", "{:?}", map.stats());
        assert!(map.stats().evictions == 0 && (evict || map.stats().moves > 0), "{:?}", map.stats());
    }
}
