//! Processes that write, count, remove and invalidate, and are killed at any moment, and one that reads and checks all
//! that it sees. `SHM_MAP_KILLS=10000` is the long form (`npm run storm:map`). With `--cfg shm_storm` the processes die
//! at any step of the algorithms themselves.
//!
//! It measures how long a caller waits for a writer that was killed or stopped, and prints that. No test fails by the
//! clock but where a wait is longer than [`LATE`].

use crate::common::{Memory, is_running, share_live, stop, was_killed};
use shm_map::{EntryOptions, LOCK_TIMEOUT, Map, MapError, MapOptions};
use shm_sync::{PATIENCE, Pause, Step, block_on, wait};
use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
    time::{Duration, Instant},
};

/// What a step of the storm finishes in, even on a machine that is busy with other things.
const GENEROUS: Duration = Duration::from_secs(30);

/// No wait is as long as this, however busy the machine is. What is promised is 20 ms for the lock and the load of a
/// process that was killed, and the lock timeout for a process that is stopped.
const LATE: Duration = Duration::from_secs(60);

/// One victim in so many is stopped before it is killed.
const STOPPED_IN: usize = 4;

const WRITERS: usize = 3;
/// How many keys each of them has for itself.
const KEYS: usize = 100;
const ALL: usize = WRITERS * KEYS;
/// The longest value.
const LONGEST: usize = 1500;
/// What is loaded by processes that are killed at it.
const HELD: &[u8] = b"held";
/// What a key's state ends with while its entry is there, is not there, or is about to be removed or written anew.
const THERE: u32 = 1;
const GONE: u32 = 2;
const BETWEEN: u32 = 3;
const EPOCH: u32 = 4;

/// The words that the test itself shares, by their first one.
mod word {
    use super::{ALL, WRITERS};
    /// For each key: the number of the last value that was written, and of the one that was begun; its state.
    pub(super) const WRITTEN: usize = 0;
    pub(super) const BEGUN: usize = WRITTEN + ALL;
    pub(super) const STATE: usize = BEGUN + ALL;
    /// For each writer: how often it began to add, and had added; the same with compare-and-set.
    pub(super) const ADDING: usize = STATE + ALL;
    pub(super) const ADDED: usize = ADDING + WRITERS;
    pub(super) const SWAPPING: usize = ADDED + WRITERS;
    pub(super) const SWAPPED: usize = SWAPPING + WRITERS;
    /// For each writer: how much it has done.
    pub(super) const DONE: usize = SWAPPED + WRITERS;
    /// What the reader found.
    pub(super) const READS: usize = DONE + WRITERS;
    pub(super) const TORN: usize = READS + 1;
    pub(super) const LOST: usize = READS + 2;
    pub(super) const OLDER: usize = READS + 3;
    pub(super) const BACK: usize = READS + 4;
    /// It is time to end.
    pub(super) const END: usize = READS + 5;
    /// The process that loads, or 0; how often two of them did at the same time, and how often one was done.
    pub(super) const LOADER: usize = READS + 6;
    pub(super) const TWICE: usize = READS + 7;
    pub(super) const LOADED: usize = READS + 8;
    /// The longest call in microseconds: of a reader; of a writer; of one who loads or waits for a load.
    pub(super) const LONGEST_READ: usize = READS + 9;
    pub(super) const LONGEST_WRITE: usize = READS + 10;
    pub(super) const LONGEST_LOAD: usize = READS + 11;
    pub(super) const COUNT: usize = READS + 12;
}

const OPTIONS: &str = "SHM_MAP_STORM_CACHE";
const ROLE: &str = "SHM_MAP_STORM_ROLE";
const NAMES: &str = "SHM_MAP_STORM_NAMES";

/// The map, and the words of the test.
struct Stage {
    map: Memory,
    words: Memory,
    cache: bool,
}

impl Stage {
    fn new(cache: bool) -> Self {
        let (map, words) = (Self::options(cache).memory.unwrap(), word::COUNT as u64 * 4);
        loop {
            let stage = Self { map: Memory::new(map), words: Memory::new(words), cache };
            if stage.has_tags_apart() {
                return stage;
            }
        }
    }

    /// Tags that a map's seed puts into one slot are invalidated together: then a writer would remove what others have.
    fn has_tags_apart(&self) -> bool {
        let (map, tags) = (self.map(), [0, 1, 2].map(tag_of));
        let is_there = |tag: &String| map.contains(tag.as_bytes()).unwrap();
        for tag in &tags {
            let tagged = EntryOptions { tags: &[tag], ..EntryOptions::default() };
            map.insert(tag.as_bytes(), b"", &tagged).unwrap();
        }
        let are_apart = (1..tags.len()).all(|next| {
            map.invalidate_tags(&[&tags[next - 1]]).unwrap();
            tags[next..].iter().all(is_there)
        });
        for tag in &tags {
            map.remove(tag.as_bytes()).unwrap();
        }
        are_apart
    }

    /// The parent's, in a child.
    fn named(cache: bool, names: &str) -> Self {
        let (map, words) = names.split_once(':').unwrap();
        Self { map: Memory::named(map), words: Memory::named(words), cache }
    }

    /// So little room that entries are moved all the time, and a cache evicts.
    fn options(cache: bool) -> MapOptions {
        let memory = if cache { 200 << 10 } else { 600 << 10 };
        let (shards, tag_slots) = (Some(2), Some(64));
        MapOptions { evict: Some(cache), shards, tag_slots, entries: Some(400), ..MapOptions::new(memory) }
    }

    fn map(&self) -> Map<'_> {
        self.map.open(&Self::options(self.cache)).unwrap().lock_timeout(GENEROUS)
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < word::COUNT);
        // SAFETY: it is inside.
        let word = unsafe { self.words.start().cast::<u32>().add(index) };
        // SAFETY: it is aligned, and stays mapped as long as `self`.
        unsafe { AtomicU32::from_ptr(word.as_ptr()) }
    }

    fn load(&self, index: usize) -> u32 {
        self.word(index).load(SeqCst)
    }

    fn add(&self, index: usize) {
        self.word(index).fetch_add(1, SeqCst);
    }

    /// Does something, and notes how long it took if nothing of that kind has taken longer.
    fn timed<T>(&self, longest: usize, act: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = act();
        let took = begin.elapsed().as_micros().try_into().unwrap_or(u32::MAX);
        self.word(longest).fetch_max(took, Relaxed);
        result
    }

    fn sum(&self, first: usize) -> u64 {
        (first..first + WRITERS).map(|index| u64::from(self.load(index))).sum()
    }

    fn start(&self, role: usize) -> Process {
        let child = share_live(&mut Command::new(std::env::current_exe().unwrap()))
            .args(["storm::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, role.to_string())
            .env(NAMES, format!("{}:{}", self.map.name(), self.words.name()))
            .env(OPTIONS, u8::from(self.cache).to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }
}

/// A child, killed with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn random(state: &mut u32) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state as usize
}

/// The value of a key with this number: 16 bytes that say so, and more that follow from them.
fn value(key: usize, number: u32) -> Vec<u8> {
    let mixed = (key as u32).wrapping_mul(0x9e37_79b9) ^ number.wrapping_mul(0x85eb_ca6b);
    let length = 16 + (mixed >> 8) as usize % (LONGEST - 16);
    let mut value = vec![0; length];
    value[..8].copy_from_slice(&(key as u64).to_le_bytes());
    value[8..12].copy_from_slice(&number.to_le_bytes());
    for (at, byte) in value.iter_mut().enumerate().skip(12) {
        *byte = (mixed.wrapping_mul(at as u32 | 1) >> 13) as u8;
    }
    value
}

fn name(key: usize) -> [u8; 16] {
    let mut name = *b"key             ";
    name[4..8].copy_from_slice(&(key as u32).to_be_bytes());
    name
}

fn tag_of(writer: usize) -> String {
    format!("of writer {writer}")
}

/// Some keys of a writer bear a tag.
fn is_tagged(key: usize) -> bool {
    key % 10 == 3
}

#[test]
#[ignore = "this is what the storm starts as a child"]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let var = |name| std::env::var(name).unwrap();
    let stage = Stage::named(var(OPTIONS) == "1", &var(NAMES));
    match role.parse().unwrap() {
        writer if writer < WRITERS => write(&stage, writer),
        WRITERS => read(&stage),
        _ => load_for_ever(&stage),
    }
}

/// Begins to load what the storm waits for, and never ends.
fn load_for_ever(stage: &Stage) {
    let map = stage.map();
    let begun = map.begin_load(HELD, Duration::MAX, &[]).unwrap();
    assert!(matches!(begun, Step::Ready(Some(_))), "nobody else loads it");
    stage.word(word::LOADER).store(std::process::id(), SeqCst);
    loop {
        std::thread::park();
    }
}

fn write(stage: &Stage, me: usize) {
    #[cfg(shm_storm)]
    shm_lifetime::fault::arm(u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15), 3000);
    let map = stage.map();
    let mut seed = std::process::id() | 1;
    let tag = tag_of(me);
    loop {
        let key = me * KEYS + random(&mut seed) % KEYS;
        let kind = random(&mut seed) % 100;
        let longest = if kind < 95 { word::LONGEST_WRITE } else { word::LONGEST_LOAD };
        stage.timed(longest, || match kind {
            0..70 => set(stage, &map, key, &tag),
            70..78 => remove(stage, &map, &[key], || _ = map.remove(&name(key)).unwrap()),
            78..79 => {
                let tagged: Vec<usize> = (me * KEYS..(me + 1) * KEYS).filter(|key| is_tagged(*key)).collect();
                remove(stage, &map, &tagged, || map.invalidate_tags(&[&tag]).unwrap());
            }
            79..90 => {
                stage.add(word::ADDING + me);
                map.increment(b"counter", 1.0, None).unwrap();
                stage.add(word::ADDED + me);
            }
            90..95 => swap(stage, &map, me),
            _ => load(stage, &map),
        });
        stage.add(word::DONE + me);
    }
}

fn set(stage: &Stage, map: &Map<'_>, key: usize, tag: &str) {
    let (written, begun) = (stage.word(word::WRITTEN + key), stage.word(word::BEGUN + key));
    // One that was begun may have been written before its writer died.
    let number = written.load(SeqCst).max(begun.load(SeqCst)) + 1;
    begun.store(number, SeqCst);
    let state = stage.word(word::STATE + key);
    let before = state.load(SeqCst);
    // One who dies in between leaves it so, and the next one ends it here.
    if before % EPOCH != THERE {
        state.store(before / EPOCH * EPOCH + EPOCH + BETWEEN, SeqCst);
    }
    let tags: &[&str] = if is_tagged(key) { &[tag] } else { &[] };
    map.insert(&name(key), &value(key, number), &EntryOptions { tags, ..EntryOptions::default() }).unwrap();
    written.store(number, SeqCst);
    if before % EPOCH != THERE {
        state.store(before / EPOCH * EPOCH + 2 * EPOCH + THERE, SeqCst);
    }
}

fn remove(stage: &Stage, map: &Map<'_>, keys: &[usize], act: impl FnOnce()) {
    let change = |to: u32| {
        for key in keys {
            let state = stage.word(word::STATE + key);
            state.store(state.load(SeqCst) / EPOCH * EPOCH + EPOCH + to, SeqCst);
        }
    };
    change(BETWEEN);
    act();
    assert!(keys.iter().all(|key| !map.contains(&name(*key)).unwrap()), "it is removed");
    change(GONE);
}

/// Adds to a value by compare-and-set.
fn swap(stage: &Stage, map: &Map<'_>, me: usize) {
    let plain = EntryOptions::default();
    stage.add(word::SWAPPING + me);
    loop {
        let mut bytes = [0; 4];
        let done = match map.get_into(b"compared", &mut bytes).unwrap() {
            None => map.add(b"compared", &1u32.to_le_bytes(), &plain).unwrap(),
            Some(found) => {
                let next = u32::from_le_bytes(bytes) + 1;
                map.replace(b"compared", found.version, &next.to_le_bytes(), &plain).unwrap()
            }
        };
        if done.is_some() {
            break stage.add(word::SWAPPED + me);
        }
    }
}

/// Loads what all want, or waits until it is there. It does not stay for long. The load has no time limit: so another
/// process may load only once the loader is dead, whatever the clock says, and however long the machine stands still.
fn load(stage: &Stage, map: &Map<'_>) {
    let brief = EntryOptions { ttl: Some(Duration::from_millis(1)), ..EntryOptions::default() };
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < GENEROUS, "nobody loads");
        match map.begin_load(b"loaded", Duration::MAX, &[]).unwrap() {
            Step::Wait(Pause { cell, expected }) => _ = wait(cell, expected, Some(PATIENCE)).unwrap(),
            Step::Ready(None) => break,
            Step::Ready(Some(load)) => {
                // A cache may forget a load when it needs the room.
                let before = stage.word(word::LOADER).swap(std::process::id(), SeqCst);
                if !stage.cache && before != 0 && is_running(before) {
                    stage.add(word::TWICE);
                }
                std::thread::yield_now();
                stage.word(word::LOADER).store(0, SeqCst);
                map.finish_load(b"loaded", load, b"value", &brief).unwrap();
                stage.add(word::LOADED);
                break;
            }
        }
    }
}

fn read(stage: &Stage) {
    let map = stage.map();
    let (mut seed, mut bytes) = (std::process::id() | 1, Vec::new());
    let mut seen = vec![0; ALL];
    let mut counted = 0.0;
    while stage.load(word::END) == 0 {
        let key = random(&mut seed) % ALL;
        let state = stage.load(word::STATE + key);
        let written = stage.load(word::WRITTEN + key);
        let found = stage.timed(word::LONGEST_READ, || map.get(&name(key), &mut bytes).unwrap());
        let is_steady = |kind| state % EPOCH == kind && stage.load(word::STATE + key) == state;
        if found.is_none() {
            if !stage.cache && is_steady(THERE) {
                stage.add(word::LOST);
            }
        } else {
            let number = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            if bytes != value(key, number) {
                stage.add(word::TORN);
            }
            if number < written.max(seen[key]) {
                stage.add(word::OLDER);
            }
            if is_steady(GONE) {
                stage.add(word::BACK);
            }
            seen[key] = number;
        }
        let mut number = [0; 8];
        if map.get_into(b"counter", &mut number).unwrap().is_some() {
            let number = f64::from_le_bytes(number);
            if !stage.cache && number < counted {
                stage.add(word::OLDER);
            }
            counted = number;
        }
        stage.word(word::READS).fetch_add(1, Relaxed);
    }
}

/// How long the storm waited for others.
#[derive(Default)]
struct Waits {
    /// For the lock of a writer that was stopped, until `MapError::Busy`.
    stopped: Vec<Duration>,
    /// For the same lock, once that writer was dead.
    killed: Vec<Duration>,
}

fn tell(what: &str, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    if let Some(longest) = waits.last() {
        let [half, most] = [50, 99].map(|part| waits[(waits.len() - 1) * part / 100]);
        let count = waits.len();
        println!("{count} waits for {what}: median {half:.1?}, p99 {most:.1?}, the longest {longest:.1?}");
        assert!(*longest < LATE, "a wait for {what} took {longest:?}");
    }
}

/// A key of each shard, which the storm itself writes.
fn own_keys(map: &Map<'_>) -> Vec<[u8; 4]> {
    // Of so many, each of the two shards has one, whatever the seed of the hash is.
    let keys = (0..32u32).map(u32::to_be_bytes).collect::<Vec<_>>();
    keys.iter().for_each(|key| _ = map.insert(key, b"before", &EntryOptions::default()).unwrap());
    keys
}

/// Stops a writer, if the system can. If it holds a lock, others are refused after the lock timeout and have changed
/// nothing, and when it is dead they take the lock.
fn stop_and_kill(writer: &mut Process, map: &Map<'_>, keys: &[[u8; 4]], is_cache: bool, waits: &mut Waits) {
    if !stop(&writer.0) {
        return;
    }
    let hurried = map.clone().lock_timeout(LOCK_TIMEOUT);
    let set = |map: &Map<'_>, key: &[u8; 4], value: &[u8]| {
        let begin = Instant::now();
        (map.insert(key, value, &EntryOptions::default()), begin.elapsed())
    };
    // Twice, as a writer that runs may be slow for once.
    let busy = keys.iter().find(|key| {
        let (first, waited) = set(&hurried, key, b"before");
        if first.is_ok() {
            return false;
        }
        if set(&hurried, key, b"after").0.is_ok() {
            set(map, key, b"before").0.unwrap();
            return false;
        }
        assert_eq!(first, Err(MapError::Busy));
        assert!(waited >= LOCK_TIMEOUT, "{waited:?}");
        waits.stopped.push(waited);
        true
    });
    if let Some(key) = busy {
        let mut value = Vec::new();
        let found = map.get(key, &mut value).unwrap();
        assert!(value == b"before" || is_cache && found.is_none(), "it has changed nothing");
    }
    writer.0.kill().unwrap();
    writer.0.wait().unwrap();
    if let Some(key) = busy {
        let (written, waited) = set(map, key, b"before");
        written.unwrap();
        waits.killed.push(waited);
    }
}

fn kills() -> usize {
    std::env::var("SHM_MAP_KILLS").map_or(30, |kills| kills.parse().unwrap())
}

fn storm(cache: bool) {
    let kills = kills();
    let stage = Stage::new(cache);
    let map = stage.map();
    let (keys, mut waits) = (own_keys(&map), Waits::default());
    let mut reader = stage.start(WRITERS);
    let mut writers: Vec<Process> = (0..WRITERS).map(|writer| stage.start(writer)).collect();
    let mut seed = 0x1234_5671;
    // A slow machine needs more kills until the rings have turned over.
    let has_turned_over = || {
        let stats = map.stats();
        if cache { stats.evictions > 0 } else { stats.moves > 0 }
    };
    for round in 0.. {
        if round >= kills && has_turned_over() {
            break;
        }
        assert!(round < 100 * kills, "{:?}", map.stats());
        let victim = random(&mut seed) % WRITERS;
        let done = |writer| stage.load(word::DONE + writer);
        let (begin, before, mut has_died) = (Instant::now(), done(victim), false);
        // It has done something, or died on its own account.
        while done(victim) < before + 20 + (random(&mut seed) % 100) as u32 {
            if let Some(status) = writers[victim].0.try_wait().unwrap() {
                assert!(was_killed(status), "writer {victim} ended by an assertion of its own");
                has_died = true;
                break;
            }
            assert!(
                begin.elapsed() < GENEROUS,
                "writer {victim} is stuck in round {round}: {:?}",
                map.stats()
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        if round % STOPPED_IN == 0 && !has_died {
            stop_and_kill(&mut writers[victim], &map, &keys, cache, &mut waits);
        }
        // The old one is dead before there is a new one.
        writers[victim].0.kill().unwrap();
        writers[victim].0.wait().unwrap();
        writers[victim] = stage.start(victim);
    }
    drop(writers);
    stage.word(word::END).store(1, SeqCst);
    assert!(reader.0.wait().unwrap().success(), "the reader ended by an assertion of its own");

    let stats = map.stats();
    let sum = |first| stage.sum(first);
    println!("{kills} kills, {} calls, {} reads: {stats:?}", sum(word::DONE), stage.load(word::READS));
    let longest = |word| Duration::from_micros(stage.load(word).into());
    let all = [word::LONGEST_READ, word::LONGEST_WRITE, word::LONGEST_LOAD].map(longest);
    println!("the longest read {:.1?}, write {:.1?}, load {:.1?}", all[0], all[1], all[2]);
    assert!(all.iter().all(|took| *took < GENEROUS), "{all:?}");
    tell("the lock of a stopped writer", waits.stopped);
    tell("the lock of a killed writer", waits.killed);
    let found = [word::TORN, word::LOST, word::OLDER, word::BACK, word::TWICE].map(|index| stage.load(index));
    assert_eq!(found, [0; 5], "torn, lost, older, back again, loaded twice at a time");
    assert!(stage.load(word::LOADED) > 0);
    assert!(stage.load(word::READS) > 100 && sum(word::DONE) > kills as u64);
    if cache {
        assert!(stats.evictions > 0, "{stats:?}");
        return;
    }
    assert!(stats.moves > 0, "{stats:?}");
    let mut number = [0; 8];
    map.get_into(b"counter", &mut number).unwrap().unwrap();
    let counter = f64::from_le_bytes(number) as u64;
    assert!((sum(word::ADDED)..=sum(word::ADDING)).contains(&counter), "{counter} was added");
    let mut compared = [0; 4];
    map.get_into(b"compared", &mut compared).unwrap().unwrap();
    let compared = u64::from(u32::from_le_bytes(compared));
    assert!(
        (sum(word::SWAPPED)..=sum(word::SWAPPING)).contains(&compared),
        "{compared} was compared and set"
    );
    for key in 0..ALL {
        let state = stage.load(word::STATE + key) % EPOCH;
        let is_there = map.contains(&name(key)).unwrap();
        assert!(is_there || state != THERE, "key {key} is lost");
        assert!(!is_there || state != GONE, "key {key} is back");
    }
}

#[test]
fn a_killed_loader_is_replaced_although_nobody_wakes_the_waiters() {
    let stage = Stage::new(false);
    let map = stage.map();
    let loader = stage.word(word::LOADER);
    let wait = || {
        let begun = block_on(None, || Ok(map.begin_load(HELD, Duration::MAX, &[]).unwrap())).unwrap();
        let load = begun.flatten().expect("nobody else loads it");
        let now = Instant::now();
        map.abandon_load(HELD, load).unwrap();
        now
    };
    let (mut waits, mut seed) = (Vec::new(), 0x1234_5671);
    for _ in 0..kills().div_ceil(STOPPED_IN) {
        let mut process = stage.start(WRITERS + 1);
        while loader.load(SeqCst) != process.0.id() {
            assert!(process.0.try_wait().unwrap().is_none(), "the loader ended by itself");
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::scope(|scope| {
            let waiter = scope.spawn(wait);
            // It waits for a different time in each round.
            std::thread::sleep(Duration::from_micros(random(&mut seed) as u64 % 15_000));
            assert!(!waiter.is_finished(), "the loader lives");
            let killed = Instant::now();
            process.0.kill().unwrap();
            waits.push(waiter.join().unwrap() - killed);
        });
    }
    tell("the load of a killed process", waits);
}

#[test]
fn killed_writers_lose_no_entry_and_leave_whole_values() {
    storm(false);
}

#[test]
fn a_cache_whose_writers_are_killed_never_returns_torn_or_older_values() {
    storm(true);
}
