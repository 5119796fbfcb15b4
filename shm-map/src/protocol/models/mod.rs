//! Every interleaving of a few threads, as far as the checker's bounds go:
//! `RUSTFLAGS="--cfg loom" cargo test --release -p shm-map --lib --target-dir target/loom`
//!
//! A map of one or two shards, whose rings hold six records. Each model has its mutants: without the rule that it is
//! about, it fails.

use super::{
    Clock, Core,
    geometry::{Key, Sizes},
    layout::{header, shard},
    memory::{AtomicU8, AtomicU32, AtomicU64, Memory, Ordering},
    record::Draft,
    ring::Which,
    rules::Rule,
    writer::If,
};
use loom::thread;
use std::collections::BTreeMap;

/// The integers that a model needs, by offset; all zero, as fresh memory.
#[derive(Default)]
struct Integers {
    longs: BTreeMap<usize, AtomicU64>,
    words: BTreeMap<usize, AtomicU32>,
    bytes: BTreeMap<usize, AtomicU8>,
}

#[derive(Clone, Copy)]
struct Small(&'static Integers);

impl Memory<'static> for Small {
    fn long(self, offset: usize) -> &'static AtomicU64 {
        &self.0.longs[&offset]
    }

    fn word(self, offset: usize) -> &'static AtomicU32 {
        &self.0.words[&offset]
    }

    fn byte(self, offset: usize) -> &'static AtomicU8 {
        &self.0.bytes[&offset]
    }

    fn read(self, offset: usize, target: &mut [u8]) {
        for (at, bytes) in (offset..).step_by(8).zip(target.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&self.long(at).load(Ordering::Relaxed).to_le_bytes());
        }
    }

    fn write(self, offset: usize, source: &[u8]) {
        for (at, bytes) in (offset..).step_by(8).zip(source.as_chunks::<8>().0) {
            self.long(at).store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn copy(self, from: usize, to: usize, count: usize) {
        for at in (0..count).step_by(8) {
            self.long(to + at).store(self.long(from + at).load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

#[derive(Clone, Copy)]
struct Never;

impl Clock for Never {
    fn now(self) -> u64 {
        0
    }
}

type Tiny = Core<'static, Small>;

/// So many that the writers below come to where the readers are.
const GRANULES: u32 = 19;

fn sizes(shards: u32, buckets: u32) -> Sizes {
    Sizes {
        memory: 1 << 20,
        entries: 12,
        shards,
        evict: false,
        max_value: 16,
        tag_slots: 1,
        buckets,
        small: 0,
        main: GRANULES,
        ghosts: 0,
    }
}

/// A map that keeps what it has.
fn check(preemptions: usize, shards: u32, buckets: u32, model: impl Fn(Tiny) + Sync + Send + 'static) {
    run(preemptions, sizes(shards, buckets), model);
}

/// Runs a model. The reader is the thread that is spawned: the checker remembers only the last access to a word, and a
/// writer, which looks before it writes, would hide a reader that came before it. The memory is freed after each
/// interleaving, when its threads have ended.
fn run(preemptions: usize, sizes: Sizes, model: impl Fn(Tiny) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(move || {
        let geometry = sizes.geometry([1, 2], 1 << 20).unwrap();
        let mut all = Integers::default();
        for at in [header::CLEARED, header::INVALIDATED] {
            all.words.insert(at, AtomicU32::new(0));
        }
        let mut longs = |from: usize, to: usize| {
            (from..to).step_by(8).for_each(|at| _ = all.longs.insert(at, AtomicU64::new(0)));
        };
        for number in 0..sizes.shards {
            let first = geometry.shard(number);
            longs(first + shard::ENTRIES, first + shard::SIZE);
            for (which, granules) in [(Which::Small, sizes.small), (Which::Main, sizes.main)] {
                let ring = geometry.ring(number, which).place(0, granules.into()).unwrap();
                longs(ring, ring + granules as usize * 16);
            }
        }
        for bucket in (0..sizes.buckets).map(|bucket| geometry.bucket(bucket)) {
            longs(bucket, bucket + 56);
        }
        for bucket in (0..sizes.buckets).map(|bucket| geometry.bucket(bucket)) {
            (bucket + 56..bucket + 64).for_each(|at| _ = all.bytes.insert(at, AtomicU8::new(0)));
        }
        let all: *mut Integers = Box::into_raw(Box::new(all));
        // SAFETY: just made, and freed below only.
        model(Core::new(Small(unsafe { &*all }), geometry));
        // SAFETY: made above; the model joined its threads.
        drop(unsafe { Box::from_raw(all) });
    });
}

/// The same, without a rule: it has to fail.
fn fails_without(rule: Rule, model: impl FnOnce() + Send + 'static) {
    let run = std::thread::spawn(move || {
        rule.leave_out();
        model();
    });
    assert!(run.join().is_err(), "{rule:?} is not needed");
}

/// A key of a shard of two. Of two buckets it has one as its first, and the other as its second.
fn key(bytes: &'static [u8; 8], shard: u32) -> Key<'static> {
    let spread = 0x100 + u32::from(bytes[0] & 7);
    let spread = if shard == 0 { spread } else { spread + 3 };
    Key { bytes, hash: shard << 31 | spread << 8 | 0x11, is_load: false }
}

/// Writes a value of twice the same number.
fn set(core: Tiny, key: Key<'static>, number: u64) {
    let value = [number, number].map(u64::to_le_bytes).concat();
    let draft = Draft { key, value: &value, encoding: 0, expires: None, tags: &[] };
    core.shard(core.geometry.shard_of(key.hash)).put(&draft, If::Always, Never).unwrap();
}

/// The number that the value is twice, if there is an entry.
fn get(core: Tiny, key: Key<'static>) -> Option<u64> {
    let copy = |place, length: usize| {
        let mut value = [0; 16];
        core.memory.read(place, &mut value[..length.min(16)]);
        value.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).collect::<Vec<_>>()
    };
    core.get(&key, Never, copy).map(|(_, numbers)| {
        assert_eq!(numbers[0], numbers[1], "torn");
        numbers[0]
    })
}

/// A reader looks for an entry that is there all the time, while a writer of another one moves it and writes over where
/// it was.
fn a_reader_and_a_mover() {
    check(2, 1, 2, |core| {
        let (resident, other) = (key(b"resident", 0), key(b"anything", 0));
        set(core, resident, 7);
        (0..3).for_each(|number| set(core, other, number));
        let reader =
            thread::spawn(move || assert_eq!(get(core, resident), Some(7), "it is there all the time"));
        (3..5).for_each(|number| set(core, other, number));
        reader.join().unwrap();
    });
}

#[test]
fn an_existing_entry_is_found_while_it_is_moved() {
    a_reader_and_a_mover();
}

#[test]
fn a_mismatch_counts_only_if_the_slot_is_unchanged() {
    fails_without(Rule::Mismatch, a_reader_and_a_mover);
}

/// A reader looks for an entry that is written again and again.
fn a_reader_and_a_writer() {
    check(2, 1, 2, |core| {
        let hot = key(b"anything", 0);
        set(core, hot, 1);
        let reader = thread::spawn(move || assert!(get(core, hot).is_some(), "it is there all the time"));
        (2..8).for_each(|number| set(core, hot, number));
        reader.join().unwrap();
        assert_eq!(get(core, hot), Some(7));
    });
}

#[test]
fn an_entry_that_is_overwritten_is_always_found_and_whole() {
    a_reader_and_a_writer();
}

#[test]
fn a_reader_never_gets_an_older_entry_than_before() {
    check(3, 1, 2, |core| {
        let hot = key(b"anything", 0);
        set(core, hot, 1);
        let reader = thread::spawn(move || {
            let [first, second] = [0, 1].map(|_| get(core, hot).expect("it is there all the time"));
            assert!(first <= second, "older than what was seen");
        });
        (2..4).for_each(|number| set(core, hot, number));
        reader.join().unwrap();
        assert_eq!(get(core, hot), Some(3));
    });
}

#[test]
fn bytes_that_were_read_count_only_if_the_tail_has_not_passed_them() {
    fails_without(Rule::Whole, a_reader_and_a_writer);
}

#[test]
fn the_tail_moves_before_the_bytes_that_it_frees_are_overwritten() {
    fails_without(Rule::TailFirst, a_reader_and_a_writer);
}

#[test]
fn a_removed_entry_is_not_found_and_a_found_entry_is_whole() {
    check(2, 1, 2, |core| {
        let (brief, other) = (key(b"resident", 0), key(b"anything", 0));
        set(core, brief, 1);
        (0..3).for_each(|number| set(core, other, number));
        let reader = thread::spawn(move || match get(core, brief) {
            Some(number) => assert_eq!(number, 1),
            None => assert_eq!(get(core, brief), None, "it does not come back"),
        });
        assert!(core.shard(0).remove(&brief, Never));
        (3..5).for_each(|number| set(core, other, number));
        reader.join().unwrap();
        assert_eq!(get(core, brief), None);
    });
}

/// A reader looks for an entry of a cache that is tried out and evicted, and whose place is written over.
fn a_reader_and_an_evicter() {
    let cache = Sizes { evict: true, small: 12, main: 9, ..sizes(1, 2) };
    run(2, cache, |core| {
        let first = key(b"resident", 0);
        let others = [b"0nything", b"1nything", b"3nything", b"4nything", b"5nything", b"6nything"];
        let mut others = others.map(|name| key(name, 0)).into_iter();
        // The oldest ones are moved to the main ring, which then is full.
        others.by_ref().take(3).for_each(|other| set(core, other, 0));
        set(core, first, 1);
        others.by_ref().take(3).for_each(|other| set(core, other, 0));
        let reader = thread::spawn(move || match get(core, first) {
            Some(number) => assert_eq!(number, 1),
            None => assert_eq!(get(core, first), None, "it does not come back"),
        });
        [b"7nything", b"8nything"].into_iter().for_each(|name| set(core, key(name, 0), 2));
        reader.join().unwrap();
        assert!(core.shard(0).load(shard::EVICTIONS) > 0);
    });
}

#[test]
fn an_entry_that_is_evicted_is_whole_or_gone() {
    a_reader_and_an_evicter();
}

#[test]
fn an_evicted_entry_counts_only_if_the_tail_has_not_passed_it() {
    fails_without(Rule::Whole, a_reader_and_an_evicter);
}

#[test]
fn a_cleared_entry_is_not_found() {
    check(3, 1, 2, |core| {
        let entry = key(b"anything", 0);
        set(core, entry, 1);
        let reader = thread::spawn(move || {
            let [first, second] = [0, 1].map(|_| get(core, entry));
            assert!(first != Some(2) || second == Some(2), "what came last stays");
            assert!(first.is_some() || second != Some(1), "the older one does not come back");
        });
        core.invalidate_all();
        set(core, entry, 2);
        reader.join().unwrap();
        assert_eq!(get(core, entry), Some(2));
    });
}

#[test]
fn writers_of_two_shards_take_two_slots_of_one_bucket() {
    check(3, 2, 1, |core| {
        let (one, two) = (key(b"anything", 0), key(b"anything", 1));
        let writer = thread::spawn(move || set(core, one, 1));
        set(core, two, 2);
        writer.join().unwrap();
        assert_eq!((get(core, one), get(core, two)), (Some(1), Some(2)));
    });
}

/// A reader takes the version and the number of a counter.
fn a_reader_and_a_counter() {
    check(3, 1, 2, |core| {
        let counter = key(b"anything", 0);
        let count = move || core.shard(0).increment(&counter, 1.0, None, Never).unwrap();
        assert_eq!(count().value, 1.0);
        let reader = thread::spawn(move || {
            let number = |place, _| f64::from_bits(core.memory.long(place).load(Ordering::Relaxed));
            let (found, number) = core.get(&counter, Never, number).unwrap();
            assert!(number >= found.version as f64, "who compares and sets would lose what was added");
        });
        (0..2).for_each(|_| _ = count());
        reader.join().unwrap();
    });
}

#[test]
fn a_number_is_never_older_than_its_version() {
    a_reader_and_a_counter();
}

#[test]
fn the_version_of_a_number_comes_after_the_number() {
    fails_without(Rule::VersionLast, a_reader_and_a_counter);
}
