//! Prints a line of JSON for each comparison of the map with caches that one process has for itself: the same calls for
//! all, keys of 16 bytes after a zipf distribution (0.99), values of 100 bytes that are read into a slice.

use shm_benches::{
    alternate::alternate_timed,
    pair::{live, memory},
    zipf::Zipf,
};
use shm_map::{EntryOptions, Map, MapOptions};
use std::{hint::black_box, sync::Arc, time::Instant};

const KEYS: usize = 100_000;
const CALLS: usize = 500_000;
const ROUNDS: usize = 7;
const LENGTH: usize = 100;
const MEMORY: usize = 64 << 20;

type Name = [u8; 16];
type Value = Arc<[u8; LENGTH]>;

fn value() -> Value {
    Arc::new([1; LENGTH])
}

/// What all of them can do.
trait Cache {
    fn get(&self, name: &Name, target: &mut [u8; LENGTH]) -> bool;
    fn set(&self, name: &Name);
}

impl Cache for Map<'_> {
    fn get(&self, name: &Name, target: &mut [u8; LENGTH]) -> bool {
        self.get_into(name, target).expect("a short key").is_some()
    }

    fn set(&self, name: &Name) {
        self.insert(name, &[1; LENGTH], &EntryOptions::default()).expect("room");
    }
}

impl Cache for moka::sync::Cache<Name, Value> {
    fn get(&self, name: &Name, target: &mut [u8; LENGTH]) -> bool {
        self.get(name).map(|value| *target = *value).is_some()
    }

    fn set(&self, name: &Name) {
        self.insert(*name, value());
    }
}

impl Cache for quick_cache::sync::Cache<Name, Value> {
    fn get(&self, name: &Name, target: &mut [u8; LENGTH]) -> bool {
        self.get(name).map(|value| *target = *value).is_some()
    }

    fn set(&self, name: &Name) {
        self.insert(*name, value());
    }
}

/// Nanoseconds a call; each finds its entry.
fn time_of_get(cache: &impl Cache, calls: &[Name]) -> f64 {
    let mut target = [0; LENGTH];
    let start = Instant::now();
    let found = calls.iter().filter(|name| cache.get(name, black_box(&mut target))).count();
    let took = start.elapsed();
    assert_eq!(found, calls.len(), "an entry was lost");
    took.as_nanos() as f64 / calls.len() as f64
}

fn time_of_set(cache: &impl Cache, calls: &[Name]) -> f64 {
    let start = Instant::now();
    calls.iter().for_each(|name| cache.set(name));
    start.elapsed().as_nanos() as f64 / calls.len() as f64
}

fn compare(ours: &impl Cache, against: &str, other: &impl Cache, names: &[Name], calls: &[Name]) {
    for name in names {
        other.set(name);
    }
    let get = alternate_timed(
        "get 100 B into a slice, Rust",
        against,
        ROUNDS,
        || time_of_get(ours, calls),
        || time_of_get(other, calls),
    );
    println!("{}", get.to_json());
    let set = alternate_timed(
        "set 100 B, Rust",
        against,
        ROUNDS,
        || time_of_set(ours, calls),
        || time_of_set(other, calls),
    );
    println!("{}", set.to_json());
}

fn main() {
    let names: Vec<Name> =
        (0..KEYS).map(|key| format!("{key:016}").into_bytes().try_into().expect("16 bytes")).collect();
    let mut zipf = Zipf::new(KEYS, 0.99);
    // The most wanted are not neighbours.
    let calls: Vec<Name> = (0..CALLS).map(|_| names[(zipf.rank() * 7919) % KEYS]).collect();
    let ours = Map::open(memory(MEMORY), &MapOptions::new(MEMORY as u64), live()).expect("a map");
    names.iter().for_each(|name| Cache::set(&ours, name));
    let room = 2 * KEYS;
    let moka = moka::sync::Cache::new(room as u64);
    compare(&ours, "moka 0.12 in one process", &moka, &names, &calls);
    drop(moka);
    let quick = quick_cache::sync::Cache::new(room);
    compare(&ours, "quick_cache 0.7 in one process", &quick, &names, &calls);
}
