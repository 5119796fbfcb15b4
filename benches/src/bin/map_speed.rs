//! Prints what a map costs, as the shortest processor time of five runs: one process, keys of 16 bytes after a zipf
//! distribution (0.99), values of 100 bytes.
//!
//! `cargo run --release -p shm-benches --bin map_speed`

use shm_benches::{
    pair::{live, memory},
    zipf::Zipf,
};
use shm_map::{EntryOptions, Map, MapOptions};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const KEYS: usize = 100_000;
const CALLS: usize = 2_000_000;
const RUNS: usize = 5;
const PLAIN: EntryOptions<'static> = EntryOptions { ttl: None, tags: &[], encoding: 0 };

/// The processor time of this thread: what others do on the machine counts less.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time stands on our stack.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Which key each call is about.
fn zipf() -> Vec<usize> {
    let mut zipf = Zipf::new(KEYS, 0.99);
    // The most wanted are not neighbours.
    let scatter = |rank: usize| (rank * 7919) % KEYS;
    (0..CALLS).map(|_| scatter(zipf.rank())).collect()
}

fn time(what: &str, calls: usize, mut run: impl FnMut()) {
    let times = (0..RUNS).map(|_| {
        let start = processor_time();
        run();
        (processor_time() - start).as_nanos() as f64 / calls as f64
    });
    println!("{what}: {:.0} ns", times.fold(f64::INFINITY, f64::min));
}

fn percentile(times: &mut [u32], share: f64) -> u32 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

fn main() {
    let names: Vec<[u8; 16]> =
        (0..KEYS).map(|key| format!("{key:016}").into_bytes().try_into().unwrap()).collect();
    let calls = zipf();
    for (what, memory_size, evict) in [
        ("a map that keeps all", 64 << 20, false),
        ("a cache with room for all", 64 << 20, true),
        ("a cache that evicts", 8 << 20, true),
    ] {
        let options = MapOptions { evict: Some(evict), ..MapOptions::new(memory_size) };
        let map = Map::open(memory(memory_size as usize), &options, live()).unwrap();
        println!("\n{what}, {} MiB", memory_size >> 20);
        names.iter().for_each(|name| _ = map.insert(name, &[1; 100], &PLAIN).unwrap());
        let mut target = [0; 100];
        time("get into a slice", CALLS, || {
            for call in &calls {
                black_box(map.get_into(&names[*call], &mut target).unwrap());
            }
        });
        time("find (no value)", CALLS, || {
            calls.iter().for_each(|call| _ = black_box(map.find(&names[*call]).unwrap()))
        });
        time("find what is not there", CALLS, || {
            for call in &calls {
                let mut name = names[*call];
                name[0] = b'x';
                black_box(map.find(&name).unwrap());
            }
        });
        time("set", CALLS, || {
            calls.iter().for_each(|call| _ = map.insert(&names[*call], &[2; 100], &PLAIN).unwrap())
        });
        time("95 % get, 5 % set", CALLS, || {
            for (number, call) in calls.iter().enumerate() {
                if number % 20 == 0 {
                    map.insert(&names[*call], &[3; 100], &PLAIN).unwrap();
                } else {
                    black_box(map.get_into(&names[*call], &mut target).unwrap());
                }
            }
        });
        time("increment", CALLS, || {
            (0..CALLS).for_each(|_| _ = black_box(map.increment(b"n", 1.0, None).unwrap()))
        });
        let mut times: Vec<u32> = calls
            .iter()
            .map(|call| {
                let start = Instant::now();
                map.insert(&names[*call], &[2; 100], &PLAIN).unwrap();
                start.elapsed().as_nanos() as u32
            })
            .collect();
        let [half, most, all] = [0.5, 0.999, 1.0].map(|share| percentile(&mut times, share));
        println!("set with the clock: median {half} ns, p99.9 {most} ns, worst {all} ns");
        let stats = map.stats();
        let memory = stats.memory as f64 / stats.entries as f64;
        println!(
            "{} entries, {memory:.0} bytes of memory for each; {} moves, {} evictions of {} sets",
            stats.entries, stats.moves, stats.evictions, stats.sets
        );
    }
}
