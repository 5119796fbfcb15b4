//! The algorithms against a model, with a clock that the test moves.

use super::{
    Clock, Core, Refused,
    iterate::Cursor,
    layout::bucket::SLOTS,
    layout::shard::{ENTRIES, LIVE, LOADS, SOONEST, SWEEP},
    load::Beginning,
    memory::{Memory, Ordering},
    record::Draft,
    ring::Which,
    shard::{Entry, Shard},
    writer::{If, NUMBER},
};
use crate::{MapOptions, place::Place};
use proptest::prelude::*;
use shm_api::Access;
use shm_sync::Region;
use std::{alloc::Layout, cell::Cell, collections::BTreeMap, ptr::NonNull};

/// Zeroed memory.
pub(super) struct Zeros(NonNull<u8>, Layout);

impl Zeros {
    pub(super) fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 64).unwrap();
        // SAFETY: no test asks for nothing.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        Self(NonNull::new(start).unwrap(), layout)
    }

    pub(super) fn core(&self, options: &MapOptions) -> Core<'_, Place<'_>> {
        // SAFETY: the memory lives as long as `self`.
        let region = unsafe { Region::from_raw(self.0, self.1.size(), Access::ReadWrite) };
        let geometry = options.sizes().unwrap().geometry([3, 5], self.1.size()).unwrap();
        Core::new(Place::of(region).unwrap(), geometry)
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.0.as_ptr(), self.1) };
    }
}

impl Clock for &Cell<u64> {
    fn now(self) -> u64 {
        self.get()
    }
}

/// A map that one thread uses.
struct Alone<'a> {
    core: Core<'a, Place<'a>>,
    clock: Cell<u64>,
}

impl<'a> Alone<'a> {
    fn new(memory: &'a Zeros, options: &MapOptions) -> Self {
        Self { core: memory.core(options), clock: Cell::new(1000) }
    }

    fn shard(&self, key: &[u8]) -> Shard<'a, Place<'a>> {
        self.core.shard(self.core.geometry.shard_of(self.core.key(key).hash))
    }

    fn put(
        &self,
        key: &[u8],
        value: &[u8],
        expires: Option<u64>,
        tags: &[&str],
        when: If,
    ) -> Result<Option<u64>, Refused> {
        let tags: Vec<u64> = tags.iter().map(|tag| self.core.tag(tag.as_bytes())).collect();
        let draft = Draft { key: self.core.key(key), value, encoding: 0, expires, tags: &tags };
        self.shard(key).put(&draft, when, &self.clock)
    }

    fn set(&self, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        self.put(key, value, None, &[], If::Always).map(drop)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let copy = |place, length| {
            let mut value = vec![0; length];
            self.core.memory.read(place, &mut value);
            value
        };
        self.core.get(&self.core.key(key), &self.clock, copy).map(|(found, value)| {
            self.core.want(found.place);
            value
        })
    }

    fn has(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    fn entries(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let (mut cursor, mut key, mut all) = (Cursor::default(), Vec::new(), BTreeMap::new());
        let copy = |place, length| {
            let mut value = vec![0; length];
            self.core.memory.read(place, &mut value);
            value
        };
        while let Some((_, value)) = self.core.next(&mut cursor, &mut key, &self.clock, copy) {
            assert_eq!(all.insert(key.clone(), value), None, "each once");
        }
        all
    }

    /// The numbers of each shard are those of its records.
    fn check_numbers(&self) {
        for number in 0..self.core.geometry.sizes.shards {
            check_numbers(&self.core.shard(number));
        }
    }
}

/// The numbers of a shard are those of its records.
pub(super) fn check_numbers<'a>(shard: &Shard<'a, Place<'a>>) {
    let mut counted = [0; 4];
    for ring in shard.rings() {
        let count = |entry: &Entry| {
            if entry.record.generation == shard.generation() {
                counted[usize::from(entry.record.is_load())] += 1;
                counted[2 + ring.which as usize] += entry.record.granules();
            }
        };
        shard.walk(&ring, count).unwrap();
    }
    let numbers = [ENTRIES, LOADS, LIVE[0], LIVE[1]].map(|at| shard.load(at));
    assert_eq!(numbers, counted, "entries, loads, live granules of shard {}", shard.number);
}

pub(super) fn options(memory: u64, evict: bool) -> MapOptions {
    MapOptions { evict: Some(evict), shards: Some(1), tag_slots: Some(64), ..MapOptions::new(memory) }
}

#[derive(Clone, Debug)]
enum Call {
    Set { key: u8, length: u16, ttl: u8, tag: u8 },
    Add { key: u8, length: u16 },
    Replace { key: u8, length: u16, right: bool },
    Remove { key: u8 },
    Touch { key: u8, ttl: u8 },
    Increment { key: u8, by: i8 },
    Invalidate { tag: u8 },
    Clear,
    Get { key: u8 },
    Wait { time: u8 },
    Entries,
}

fn call() -> impl Strategy<Value = Call> {
    let key = 0..40u8;
    let length = prop_oneof![8 => 0..200u16, 2 => 0..1500u16];
    let ttl = prop_oneof![3 => Just(0), 1 => 1..50u8];
    let tag = prop_oneof![3 => Just(0), 1 => 1..5u8];
    prop_oneof![
        30 => (key.clone(), length.clone(), ttl.clone(), tag).prop_map(|(key, length, ttl, tag)| Call::Set { key, length, ttl, tag }),
        5 => (key.clone(), length.clone()).prop_map(|(key, length)| Call::Add { key, length }),
        5 => (key.clone(), length, any::<bool>()).prop_map(|(key, length, right)| Call::Replace { key, length, right }),
        10 => key.clone().prop_map(|key| Call::Remove { key }),
        5 => (key.clone(), ttl).prop_map(|(key, ttl)| Call::Touch { key, ttl }),
        5 => (40..45u8, any::<i8>()).prop_map(|(key, by)| Call::Increment { key, by }),
        1 => (1..5u8).prop_map(|tag| Call::Invalidate { tag }),
        1 => Just(Call::Clear),
        30 => (0..45u8).prop_map(|key| Call::Get { key }),
        5 => (0..20u8).prop_map(|time| Call::Wait { time }),
        2 => Just(Call::Entries),
    ]
}

/// What the model knows of an entry.
#[derive(Clone, Debug)]
struct Known {
    value: Vec<u8>,
    expires: Option<u64>,
    tag: u8,
    version: u64,
}

/// Runs the calls on a map and on the model. A cache may have evicted what the model has.
fn run(map: &Alone<'_>, calls: &[Call], evicts: bool) {
    let mut model: BTreeMap<u8, Known> = BTreeMap::new();
    let (mut newest, mut versions) = (0, 0);
    let tags = ["", "a", "b", "c", "d"];
    for call in calls {
        let now = map.clock.get();
        model.retain(|_, known| known.expires.is_none_or(|expires| now < expires));
        let name = |key: u8| format!("key {key}").into_bytes();
        let mut value = |length: u16| {
            newest += 1;
            vec![newest as u8; length.into()]
        };
        let expires = |ttl: u8| (ttl > 0).then(|| now + u64::from(ttl));
        if evicts {
            model.retain(|key, _| map.has(&name(*key)));
        }
        let mut note =
            |model: &mut BTreeMap<u8, Known>, key, value, expires, tag, put: Result<Option<u64>, Refused>| {
                match put {
                    Ok(Some(version)) => {
                        assert!(version > versions, "a version never comes again");
                        versions = version;
                        model.insert(key, Known { value, expires, tag, version });
                        true
                    }
                    Ok(None) => false,
                    Err(refused) => {
                        assert!(!evicts && refused == Refused::Full, "{refused:?}");
                        true
                    }
                }
            };
        match *call {
            Call::Set { key, length, ttl, tag } => {
                let (value, expires) = (value(length), expires(ttl));
                let tagged = if tag > 0 { &tags[tag as usize..=tag as usize] } else { &[] };
                let put = map.put(&name(key), &value, expires, tagged, If::Always);
                assert!(note(&mut model, key, value, expires, tag, put));
            }
            Call::Add { key, length } => {
                let (value, was_there) = (value(length), model.contains_key(&key));
                let put = map.put(&name(key), &value, None, &[], If::Absent);
                assert_eq!(note(&mut model, key, value, None, 0, put), !was_there);
            }
            Call::Replace { key, length, right } => {
                let version = model.get(&key).map_or(0, |known| known.version);
                let version = if right { version } else { version + 1 };
                let holds = right && model.contains_key(&key);
                let value = value(length);
                let put = map.put(&name(key), &value, None, &[], If::Version(version));
                assert_eq!(note(&mut model, key, value, None, 0, put), holds);
            }
            Call::Remove { key } => {
                let removed = map.shard(&name(key)).remove(&map.core.key(&name(key)), &map.clock);
                assert_eq!(removed, model.remove(&key).is_some());
            }
            Call::Touch { key, ttl } => {
                let (name, mut buffer) = (name(key), Vec::new());
                let touched =
                    map.shard(&name).touch(&map.core.key(&name), expires(ttl), &mut buffer, &map.clock);
                match touched {
                    Ok(touched) => assert_eq!(touched, model.contains_key(&key)),
                    Err(refused) => assert!(!evicts && refused == Refused::Full),
                }
                if let (Some(known), Ok(_)) = (model.get_mut(&key), touched) {
                    known.expires = expires(ttl);
                    let found = map.core.get(&map.core.key(&name), &map.clock, |_, _| ());
                    (known.version, versions) = found
                        .map_or((0, versions), |(found, ())| (found.version, versions.max(found.version)));
                }
            }
            Call::Increment { key, by } => {
                let name = name(key);
                let old = model
                    .get(&key)
                    .map_or(0.0, |known| f64::from_le_bytes(known.value[..].try_into().unwrap()));
                let counted = map.shard(&name).increment(&map.core.key(&name), by.into(), None, &map.clock);
                match counted {
                    Ok(counted) => {
                        assert_eq!(counted.value, old + f64::from(by));
                        let found = map.core.get(&map.core.key(&name), &map.clock, |_, _| ()).unwrap().0;
                        assert!(found.version > versions && found.encoding == NUMBER);
                        versions = found.version;
                        let value = counted.value.to_le_bytes().to_vec();
                        model.insert(key, Known { value, expires: None, tag: 0, version: versions });
                    }
                    Err(refused) => assert!(!evicts && refused == Refused::Full && !model.contains_key(&key)),
                }
            }
            Call::Invalidate { tag } => {
                map.core.invalidate(tags[usize::from(tag)].as_bytes());
                model.retain(|_, known| known.tag != tag);
            }
            Call::Clear => {
                map.core.invalidate_all();
                model.clear();
            }
            Call::Get { key } => {
                assert_eq!(
                    map.get(&name(key)).as_ref(),
                    model.get(&key).map(|known| &known.value),
                    "key {key}"
                );
            }
            Call::Wait { time } => map.clock.set(now + u64::from(time)),
            Call::Entries => {
                let all = model.iter().map(|(key, known)| (name(*key), known.value.clone()));
                assert_eq!(map.entries(), all.collect());
                map.check_numbers();
            }
        }
    }
    map.check_numbers();
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 170, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_map_that_does_not_evict_does_what_the_model_does(calls in proptest::collection::vec(call(), 1..600)) {
        let memory = Zeros::new(32 << 10);
        run(&Alone::new(&memory, &options(32 << 10, false)), &calls, false);
    }

    #[test]
    fn a_cache_does_what_the_model_does_and_may_forget(calls in proptest::collection::vec(call(), 1..600)) {
        let memory = Zeros::new(32 << 10);
        run(&Alone::new(&memory, &options(32 << 10, true)), &calls, true);
    }
}

#[test]
fn as_many_keys_as_the_options_say_find_a_slot_even_with_the_same_hash() {
    let memory = Zeros::new(256 << 10);
    let sizes = MapOptions { entries: Some(250), ..options(256 << 10, false) };
    let map = Alone::new(&memory, &sizes);
    let key = |number: u32| super::geometry::Key {
        hash: 7,
        ..map.core.key(Box::leak(Box::new(number.to_le_bytes())))
    };
    let shard = map.core.shard(0);
    let put = |number: u32| {
        let draft =
            Draft { key: key(number), value: &number.to_le_bytes(), encoding: 0, expires: None, tags: &[] };
        shard.put(&draft, If::Always, &map.clock)
    };
    let found = |number: u32| map.core.get(&key(number), &map.clock, |_, _| ()).is_some();
    (0..250).for_each(|number| assert!(put(number).unwrap().is_some()));
    assert!((0..250).all(found));
    assert_eq!(put(250), Err(Refused::Full));
    // They can go in any order, and others come in their place.
    for number in (0..250).step_by(3) {
        assert!(shard.remove(&key(number), &map.clock));
        put(number + 1000).unwrap();
    }
    assert!((0..250).all(|number| found(if number % 3 == 0 { number + 1000 } else { number })));
    (0..250).for_each(|number| {
        assert!(shard.remove(&key(if number % 3 == 0 { number + 1000 } else { number }), &map.clock))
    });
    let index = map.core.geometry.bucket(0)..map.core.geometry.bucket(map.core.geometry.sizes.buckets);
    let bytes = index.map(|at| map.core.memory.byte(at).load(Ordering::Relaxed));
    assert!(
        bytes.zip((0..64).cycle()).all(|(byte, at)| byte == 0 || (56..63).contains(&at)),
        "nothing is left but frequencies"
    );
}

#[test]
fn after_a_clearing_that_was_not_ended_there_is_room_for_all_keys() {
    for shards in [1, 16] {
        let memory = Zeros::new(512 << 10);
        let sizes = MapOptions { entries: Some(2000), shards: Some(shards), ..options(512 << 10, false) };
        let map = Alone::new(&memory, &sizes);
        (0..2000u32).for_each(|number| map.set(&number.to_le_bytes(), &[1; 20]).unwrap());
        map.core.invalidate_all();
        (2000..4000u32).for_each(|number| map.set(&number.to_le_bytes(), &[1; 20]).unwrap());
        assert_eq!(map.core.entries(), 2000);
        map.check_numbers();
    }
}

#[test]
fn loads_that_fill_the_index_take_no_slot_for_good() {
    let memory = Zeros::new(256 << 10);
    let map = Alone::new(&memory, &MapOptions { entries: Some(60), ..options(256 << 10, true) });
    (0..60u32).for_each(|number| map.set(&number.to_le_bytes(), &[1; 20]).unwrap());
    let names: Vec<_> = (1000..1100u32).map(u32::to_le_bytes).collect();
    for name in &names {
        let (key, shard) = (map.core.key(name), map.shard(name));
        let begin = || shard.begin_load(&key, 1, None, &[], |_| true, &map.clock).unwrap();
        assert!(matches!(begin(), Beginning::Ours(_)));
        assert!(matches!(begin(), Beginning::Theirs(_)), "the load can be found");
    }
    map.check_numbers();
    let shard = map.core.shard(0);
    let slots =
        (0..map.core.geometry.sizes.buckets).flat_map(|bucket| (0..SLOTS).map(move |slot| (bucket, slot)));
    let used =
        slots.filter(|(bucket, slot)| map.core.slot(*bucket, *slot).load(Ordering::Relaxed) != 0).count();
    assert_eq!(used as u64, shard.load(ENTRIES) + shard.load(LOADS), "each slot is an entry's or a load's");
}

#[test]
fn an_empty_value_is_no_number_even_at_the_end_of_the_memory() {
    let memory = Zeros::new(64 << 10);
    let map = Alone::new(&memory, &options(64 << 10, false));
    let end =
        map.shard(b"").ring(Which::Main).place(0, 1).unwrap() + map.core.geometry.sizes.main as usize * 16;
    assert_eq!(end, 64 << 10, "the ring ends where the memory ends");
    // More than a lap.
    for number in 0..5000u32 {
        let name = number.to_le_bytes();
        map.set(&name, b"").unwrap();
        let counted = map.shard(&name).increment(&map.core.key(&name), 1.0, None, &map.clock);
        assert_eq!(counted, Err(Refused::NotANumber));
        assert!(map.shard(&name).remove(&map.core.key(&name), &map.clock));
    }
}

#[test]
fn an_entry_that_readers_do_not_find_can_be_added() {
    for evict in [false, true] {
        let memory = Zeros::new(64 << 10);
        let map = Alone::new(&memory, &options(64 << 10, evict));
        map.set(b"a", b"old").unwrap();
        // As only one writes who does not follow the rules.
        for ring in map.shard(b"a").rings() {
            let head = map.core.memory.long(ring.head).load(Ordering::Relaxed);
            map.core.memory.long(ring.tail).store(head, Ordering::Relaxed);
        }
        assert!(!map.has(b"a"));
        assert!(map.put(b"a", b"new", None, &[], If::Absent).unwrap().is_some());
        assert_eq!(map.get(b"a").as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn expired_entries_go_before_valid_ones() {
    let name = |number: u32| format!("{number:016}").into_bytes();
    let fill = |map: &Alone<'_>, plain: u32, all: u32| {
        let put = |number: u32| {
            let expires = if number < plain { u64::MAX } else { 2000 };
            map.put(&name(number), &[1; 100], Some(expires), &[], If::Always).unwrap();
        };
        (0..all).take_while(|_| map.core.counts().evictions == 0).inspect(|number| put(*number)).count()
            as u32
    };
    let (memory, size) = (Zeros::new(256 << 10), 256 << 10);
    let all = fill(&Alone::new(&memory, &options(size, true)), u32::MAX, u32::MAX) - 1;
    // Half of them expire, and the others nobody asks for: by order of age the first would go.
    let memory = Zeros::new(256 << 10);
    let map = Alone::new(&memory, &options(size, true));
    assert_eq!(fill(&map, all / 2, all), all);
    map.clock.set(3000);
    (all..all / 2 * 3).for_each(|number| map.set(&name(number), &[2; 100]).unwrap());
    let evictions = map.core.counts().evictions;
    // Some of them go before the sweep comes to what has expired.
    assert!(evictions < u64::from(all / 5), "{evictions} of {} are evicted", all / 2);
}

#[test]
fn expired_entries_make_place_for_others_where_the_number_of_entries_is_the_limit() {
    // Whether those that expire are the older ones.
    for is_older in [false, true] {
        let memory = Zeros::new(256 << 10);
        let map = Alone::new(&memory, &MapOptions { entries: Some(400), ..options(256 << 10, true) });
        let set = |number: u32, expires| {
            map.put(&number.to_le_bytes(), &[1; 20], expires, &[], If::Always).unwrap()
        };
        for number in 0..400 {
            set(number, (is_older == (number < 200)).then_some(2000));
        }
        map.clock.set(3000);
        (400..600).for_each(|number| _ = set(number, None));
        let counts = map.core.counts();
        // Some of the others go before the sweep comes to what has expired.
        assert!(counts.evictions <= if is_older { 0 } else { 40 }, "{} of 200 are evicted", counts.evictions);
        assert_eq!((counts.entries, counts.expired), (400 - counts.evictions, 200));
    }
}

#[test]
fn a_sweep_finds_what_has_expired_in_both_rings() {
    let memory = Zeros::new(256 << 10);
    let map = Alone::new(&memory, &options(256 << 10, true));
    let set =
        |number: u32, expires| map.put(&number.to_le_bytes(), &[1; 20], expires, &[], If::Always).unwrap();
    for number in 0..800 {
        set(number, (number % 2 == 0).then_some(2000 + u64::from(number % 4)));
    }
    let shard = map.core.shard(0);
    assert!(LIVE.into_iter().all(|live| shard.load(live) > 400), "there are some in each");
    for (now, left) in [(1000, 800), (2001, 600), (3000, 400), (4000, 400)] {
        map.clock.set(now);
        (0..250).for_each(|_| shard.sweep_some(&map.clock).unwrap());
        assert_eq!(shard.load(ENTRIES), left);
        assert!(SWEEP.into_iter().all(|at| shard.load(at) == 0), "the sweep has ended");
        map.check_numbers();
    }
    assert_eq!(shard.load(SOONEST), 0);
}

#[test]
fn a_scan_evicts_nothing_that_is_read_often_where_the_number_of_entries_is_the_limit() {
    let memory = Zeros::new(256 << 10);
    let map = Alone::new(&memory, &MapOptions { entries: Some(400), ..options(256 << 10, true) });
    let set = |number: u32| map.set(&number.to_le_bytes(), &[1; 20]).unwrap();
    (0..100).for_each(set);
    let (mut misses, turns) = (0, 10_000u32);
    for turn in 0..turns {
        for wanted in [turn * 2 % 100, (turn * 2 + 1) % 100] {
            if !map.has(&wanted.to_le_bytes()) {
                set(wanted);
                misses += 1;
            }
        }
        set(1000 + turn);
    }
    let moves = map.core.counts().moves;
    assert!(misses < turns / 100, "{misses} of {} are evicted", 2 * turns);
    assert!(moves < u64::from(turns), "{moves} are moved for {turns} new ones");
    assert_eq!(map.core.entries(), 400);
}

#[test]
fn an_eviction_moves_few_entries_although_all_are_read() {
    let memory = Zeros::new(1 << 20);
    let map = Alone::new(&memory, &MapOptions { entries: Some(1000), ..options(1 << 20, true) });
    let set = |number: u32| map.set(&number.to_le_bytes(), &[1; 20]).unwrap();
    (0..1000).for_each(set);
    assert!((0..1000u32).all(|number| map.has(&number.to_le_bytes())));
    for number in 1000..1100 {
        let before = map.core.counts().moves;
        set(number);
        let moves = map.core.counts().moves - before;
        assert!(moves <= 20, "{moves} for one entry");
        assert_eq!(map.core.entries(), 1000);
    }
}

#[test]
fn a_sweep_ends() {
    let memory = Zeros::new(64 << 10);
    let map = Alone::new(&memory, &options(64 << 10, false));
    for number in 0..100u32 {
        map.put(&number.to_le_bytes(), &[1; 100], Some(2000), &[], If::Always).unwrap();
    }
    map.clock.set(3000);
    let shard = map.core.shard(0);
    shard.sweep_all(&map.clock).unwrap();
    assert_eq!((shard.load(SWEEP[1]), shard.load(ENTRIES)), (0, 0));
    map.check_numbers();
}

#[test]
fn a_cache_that_has_room_for_all_evicts_nothing() {
    let memory = Zeros::new(256 << 10);
    for share in [20, 40, 55] {
        let map = Alone::new(&memory, &options(256 << 10, true));
        map.core.invalidate_all();
        let name = |number: u32| format!("{number:016}").into_bytes();
        let length = |number: u32| (number * 37 % 300) as usize;
        let count = (256 << 10) * share / 100 / 190;
        (0..count).for_each(|number| map.set(&name(number), &vec![1; length(number)]).unwrap());
        let mut random = 1u32;
        for turn in 0..30_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The others are one long run that nobody writes.
            let number = (random >> 8) % (count / 4);
            map.set(&name(number), &vec![turn as u8; length(number)]).unwrap();
        }
        let found = (0..count).filter(|number| map.has(&name(*number))).count();
        assert_eq!((found as u32, map.core.counts().evictions), (count, 0), "{share} % live");
    }
}

#[test]
fn a_cache_with_fewer_entries_than_shards_is_never_full() {
    for entries in [1, 10, 14, 20] {
        let memory = Zeros::new(1 << 20);
        let options = MapOptions { entries: Some(entries), shards: Some(16), ..options(1 << 20, true) };
        let map = Alone::new(&memory, &options);
        (0..3000u32).for_each(|number| map.set(&number.to_le_bytes(), &[1; 20]).unwrap());
        assert!(map.core.entries() <= u64::from(entries) + 16);
        map.check_numbers();
    }
}

#[test]
fn the_header_has_room_for_the_sizes_of_the_largest_map() {
    let largest = MapOptions { shards: Some(1), evict: Some(true), ..MapOptions::new(1 << 44) };
    let sizes = largest.sizes().unwrap();
    assert!(sizes.small.checked_add(1).is_some() && sizes.ghosts.checked_add(1).is_some());
}
