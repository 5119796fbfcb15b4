//! Makes and leaves segments in one process, and watches what the process uses: it must not grow.
//!
//! `cycles BACKEND COUNT`, `BACKEND` being `sysv` or `posix`. A million is
//! `cargo run --release -p shm-tests --bin cycles posix 1000000`.

use shm_api::{Backend, CreateOptions, Detached, Key, Segment};
use shm_lifetime::Lifetime;
use shm_posix::Posix;
use shm_sysv::SysV;
use shm_tests::{fresh_id, usage::Usage};
use std::{
    env, fs,
    num::NonZeroUsize,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How many KiB the resident memory may differ: what the allocator keeps, not what a cycle could leave.
const NOISE: u64 = 512;

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let (backend, count) = match words.as_slice() {
        [backend, count] => (backend.as_str(), count.parse().unwrap_or(0)),
        _ => ("", 0),
    };
    let flat = match backend {
        _ if count < 10 => Err("usage: cycles sysv|posix COUNT"),
        "sysv" => Ok(cycles(&SysV::new(), count)),
        "posix" => Ok(cycles(&Posix::new(), count)),
        _ => Err("usage: cycles sysv|posix COUNT"),
    };
    match flat {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(usage) => {
            eprintln!("{usage}");
            ExitCode::from(2)
        }
    }
}

fn cycles<B: Backend>(backend: &B, count: u64) -> bool {
    let part = count / 10;
    // What is opened once, and what the allocator keeps, is there after the first part.
    let first = run(backend, part);
    let (before, ledger) = (Usage::now().expect("/proc"), ledger_size());
    for _ in 0..8 {
        run(backend, part);
    }
    let last = run(backend, part);
    let (after, grown) = (Usage::now().expect("/proc"), ledger_size());
    let name = backend.name();
    println!("{name}: {count} cycles, the first {part} in {first:?}, the last {part} in {last:?}");
    println!("  after the first: {before:?}, ledger of {ledger} bytes");
    println!("  after the last:  {after:?}, ledger of {grown} bytes");
    (before.descriptors, before.mappings, ledger) == (after.descriptors, after.mappings, grown)
        && after.resident <= before.resident + NOISE
}

/// Every kind of cycle: under a new key and an old one, attached once more or not, left in every way.
fn run<B: Backend>(backend: &B, count: u64) -> Duration {
    let start = Instant::now();
    let options = CreateOptions::new(NonZeroUsize::new(4096).expect("not 0"));
    let same = Key::id(fresh_id()).expect("bit 31 is set");
    for cycle in 0..count {
        let made = match cycle % 2 {
            0 => backend.create(&same, &options),
            _ => backend.create_anywhere(&options),
        };
        let segment = made.expect("there is room");
        segment.write(0, &cycle.to_le_bytes());
        let detached = match cycle % 4 {
            0 => segment.detach(),
            1 => segment.let_go_in_place(&|| false).0,
            2 => {
                drop(backend.attach(&same).expect("it exists"));
                segment.detach()
            }
            _ => {
                backend.destroy(segment.key()).expect("it exists");
                assert_eq!(segment.detach(), Detached::Gone);
                continue;
            }
        };
        assert_eq!(detached, Detached::Destroyed);
    }
    start.elapsed()
}

fn ledger_size() -> u64 {
    let uid = Lifetime::current().expect("our folder").uid();
    fs::metadata(format!("/dev/shm/.shm-node-{uid}/ledger.1")).map_or(0, |file| file.len())
}
