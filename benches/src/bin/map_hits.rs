//! Prints hit ratios of a map beside LRU and a model of S3-FIFO, for as many entries as fit into the map's rings; with
//! `--json`, how many of a hundred lookups miss, a line for each comparison.
//!
//! `cargo run --release -p shm-benches --bin map_hits -- [--json] [FOLDER]`, with traces of the public collections in
//! the folder, unpacked: `cloudphysics-sample.bin`, `web07.trace`, `orm-busy.trace`, `multi3.trace`, `sprite.trace`.
//! Without a folder there are the generated traces alone.

use shm_benches::{
    pair::{live, memory},
    zipf::Zipf,
};
use shm_map::{EntryOptions, Map, MapOptions, layout::header};
use shm_sync::Region;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::Path,
    sync::atomic::Ordering,
};

type Key = u64;

/// A record takes 24 + 16 + 80 bytes: eight granules.
const VALUE: [u8; 80] = [1; 80];
const GRANULES: usize = 8;

/// Whom somebody asks for a key; it takes it in where it has not got it.
trait Cache {
    fn has(&mut self, key: Key) -> bool;
}

/// The entry that was wanted the longest ago goes first.
struct Lru {
    room: usize,
    clock: u64,
    last: HashMap<Key, u64>,
    queue: VecDeque<(Key, u64)>,
}

impl Lru {
    fn new(room: usize) -> Self {
        Self { room, clock: 0, last: HashMap::new(), queue: VecDeque::new() }
    }
}

impl Cache for Lru {
    fn has(&mut self, key: Key) -> bool {
        self.clock += 1;
        let known = self.last.insert(key, self.clock).is_some();
        self.queue.push_back((key, self.clock));
        while self.last.len() > self.room {
            let (key, time) = self.queue.pop_front().unwrap();
            if self.last[&key] == time {
                self.last.remove(&key);
            }
        }
        while self.queue.front().is_some_and(|(key, time)| self.last.get(key) != Some(time)) {
            self.queue.pop_front();
        }
        known
    }
}

/// A tenth of the room tries new entries out; of those that were evicted there, as many are remembered as the rest
/// holds.
#[derive(Default)]
struct S3Fifo {
    room: usize,
    small: VecDeque<Key>,
    main: VecDeque<Key>,
    ghost: VecDeque<(Key, u64)>,
    ghosts: HashMap<Key, u64>,
    /// How often each entry was wanted, and whether it is in the main queue.
    entries: HashMap<Key, (u8, bool)>,
    clock: u64,
}

impl S3Fifo {
    fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    fn small_room(&self) -> usize {
        (self.room / 10).max(1)
    }

    fn add_to_main(&mut self, key: Key) {
        if self.main.len() >= self.room - self.small_room() {
            self.evict_main();
        }
        self.entries.insert(key, (0, true));
        self.main.push_back(key);
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.main.pop_front() {
            let frequency = self.entries[&key].0;
            if frequency == 0 {
                self.entries.remove(&key);
                return;
            }
            self.entries.insert(key, (frequency - 1, true));
            self.main.push_back(key);
        }
    }

    fn evict_small(&mut self) {
        while let Some(key) = self.small.pop_front() {
            if self.entries[&key].0 > 0 {
                self.add_to_main(key);
                continue;
            }
            self.entries.remove(&key);
            self.clock += 1;
            self.ghosts.insert(key, self.clock);
            self.ghost.push_back((key, self.clock));
            while self.ghosts.len() > self.room - self.small_room() {
                let (key, time) = self.ghost.pop_front().unwrap();
                if self.ghosts.get(&key) == Some(&time) {
                    self.ghosts.remove(&key);
                }
            }
            return;
        }
    }
}

impl Cache for S3Fifo {
    fn has(&mut self, key: Key) -> bool {
        if let Some((frequency, _)) = self.entries.get_mut(&key) {
            *frequency = (*frequency + 1).min(3);
            return true;
        }
        if self.ghosts.remove(&key).is_some() {
            self.add_to_main(key);
            return false;
        }
        if self.small.len() >= self.small_room() {
            self.evict_small();
        }
        while self.small.len() + self.main.len() >= self.room {
            if self.small.len() >= self.small_room() { self.evict_small() } else { self.evict_main() }
        }
        self.entries.insert(key, (0, false));
        self.small.push_back(key);
        false
    }
}

impl Cache for Map<'_> {
    fn has(&mut self, key: Key) -> bool {
        let name = format!("{key:016}");
        let name = &name.as_bytes()[name.len() - 16..];
        let known = self.contains(name).unwrap();
        if !known {
            self.insert(name, &VALUE, &EntryOptions::default()).unwrap();
        }
        known
    }
}

/// For how many records a map's rings have room.
fn room(region: Region<'_>) -> usize {
    let word = |at: usize| region.cell(at).unwrap().load(Ordering::Relaxed) as usize;
    word(header::SHARDS) * (word(header::SMALL) - 1 + word(header::MAIN)) / GRANULES
}

fn ratio(cache: &mut impl Cache, trace: &[Key]) -> f64 {
    let hits = trace.iter().filter(|key| cache.has(**key)).count();
    hits as f64 / trace.len() as f64 * 100.0
}

fn zipf(keys: usize, calls: usize, exponent: f64, once: f64) -> Vec<Key> {
    let mut zipf = Zipf::new(keys, exponent);
    let mut next = 1_000_000_000;
    let call = |_| {
        if zipf.random() < once {
            next += 1;
            return next;
        }
        zipf.rank() as Key
    };
    (0..calls).map(call).collect()
}

fn read(folder: &Path, name: &str) -> Vec<Key> {
    let bytes = std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    match name {
        "cloudphysics-sample.bin" => bytes
            .as_chunks::<24>()
            .0
            .iter()
            .map(|record| u64::from_le_bytes(record[4..12].try_into().unwrap()) & 0xffff_ffff_ffff)
            .collect(),
        "web07.trace" | "orm-busy.trace" => {
            bytes.as_chunks::<4>().0.iter().map(|key| u32::from_le_bytes(*key).into()).collect()
        }
        _ => String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.trim().parse().ok()).collect(),
    }
}

/// A row of the report: misses in percent, of which there may be so many points more.
fn misses(what: &str, against: &str, hits: f64, their_hits: f64, points: f64) -> String {
    let (ours, other) = (100.0 - hits, 100.0 - their_hits);
    let (ratio, most) = (ours / other, (other + points) / other);
    format!(
        r#"{{"what":"{what}","against":"{against}","ours":{ours:.2},"other":{other:.2},"ratio":{ratio:.4},"most":{most:.4},"unit":"%"}}"#
    )
}

const HEAD: &str =
    "| trace | room | LRU | S3-FIFO model | map | map - LRU | map - model |\n|---|---|---|---|---|---|---|";

fn main() {
    let mut traces = vec![
        ("zipf 0.99".to_owned(), zipf(100_000, 1_000_000, 0.99, 0.0)),
        ("zipf 0.8".to_owned(), zipf(100_000, 1_000_000, 0.8, 0.0)),
        ("zipf 0.99 and 30 % that come once".to_owned(), zipf(100_000, 1_000_000, 0.99, 0.3)),
    ];
    let mut arguments = std::env::args().skip(1).peekable();
    let is_json = arguments.next_if(|argument| argument == "--json").is_some();
    if let Some(folder) = arguments.next() {
        let names =
            ["cloudphysics-sample.bin", "web07.trace", "orm-busy.trace", "multi3.trace", "sprite.trace"];
        traces.extend(names.map(|name| (name.to_owned(), read(Path::new(&folder), name))));
    }
    if !is_json {
        println!("{HEAD}");
    }
    for (name, trace) in traces {
        let keys = trace.iter().collect::<HashSet<_>>().len();
        for share in [0.01, 0.1] {
            let wanted = ((keys as f64 * share) as usize).max(200);
            let entries = Some(wanted as u32 * 5 / 4);
            let size = (wanted * 128 + wanted * 5 / 4 * 16 + 8192) as u64;
            let options = MapOptions { entries, tag_slots: Some(64), ..MapOptions::new(size) };
            let region = memory(size as usize);
            let mut map = Map::open(region, &options, live()).unwrap();
            let room = room(region);
            let ratios = [
                ratio(&mut Lru::new(room), &trace),
                ratio(&mut S3Fifo::new(room), &trace),
                ratio(&mut map, &trace),
            ];
            let [lru, model, ours] = ratios;
            if is_json {
                let what = format!("misses of {name}, with room for {room} of {keys} keys");
                println!("{}", misses(&what, "LRU", ours, lru, 0.5));
                println!("{}", misses(&what, "a model of S3-FIFO", ours, model, 1.0));
                continue;
            }
            println!(
                "| {name} | {room} of {keys} | {lru:.1} | {model:.1} | {ours:.1} | {:+.1} | {:+.1} |",
                ours - lru,
                ours - model
            );
        }
    }
}
