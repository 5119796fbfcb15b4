//! Prints what locks and messages cost on this machine: medians of alternating runs.
//!
//! `cargo run --release -p shm-sync --example figures`

use shm_api::Access;
use shm_sync::{Broadcast, BroadcastOptions, Channel, ChannelOptions, Live, Mutex, Producers, Region};
use std::{
    fs::File,
    hint::black_box,
    os::fd::FromRawFd,
    ptr::NonNull,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const RUNS: usize = 7;

fn memfd(size: usize) -> File {
    // SAFETY: the name is a string.
    let fd = unsafe { libc::memfd_create(c"shm-sync-figures".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: just opened, and nobody else has it.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size as u64).unwrap();
    file
}

/// Shared with the children of forks, until the program ends.
fn memory(size: usize) -> Region<'static> {
    let file = memfd(size);
    let map = memmap2::MmapOptions::new().populate().map_raw(&file).unwrap();
    let start = NonNull::new(map.as_mut_ptr()).unwrap();
    std::mem::forget(map);
    // SAFETY: mapped for ever.
    unsafe { Region::from_raw(start, size, Access::ReadWrite) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs `there` in a child process and `here` in this one; returns how long both took.
fn together(there: impl FnOnce(), here: impl FnOnce()) -> Duration {
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: no pointers. If the parent fails, the child must not spin on.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        there();
        // SAFETY: it only ends the process.
        unsafe { libc::_exit(0) };
    }
    let start = Instant::now();
    here();
    let mut status = 0;
    // SAFETY: the status stands on our stack.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    start.elapsed()
}

fn locks(live: &'static Live) {
    let region = memory(4096);
    let ours = Mutex::open(region, 0, live).unwrap();
    let theirs = std::sync::Mutex::new(());
    let rounds = 10_000_000u32;
    let time = |f: &dyn Fn()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
    };
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_times.push(time(&|| {
            for _ in 0..rounds {
                drop(black_box(black_box(&ours).lock().unwrap()));
            }
        }));
        their_times.push(time(&|| {
            for _ in 0..rounds {
                drop(black_box(black_box(&theirs).lock().unwrap()));
            }
        }));
    }
    let (ours, theirs) = (median(our_times), median(their_times));
    println!(
        "lock+unlock, uncontended: {ours:.1} ns, std::sync::Mutex {theirs:.1} ns, ratio {:.2}",
        ours / theirs
    );
}

fn channel(live: &'static Live, capacity: u32, producers: Producers, length: usize, count: u64) {
    let options = ChannelOptions { capacity, producers };
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let region = memory(Channel::byte_len(&options));
        let channel = Channel::open(region, 0, &options, live).unwrap();
        let time = together(
            || {
                let mut receiver = channel.receiver().unwrap();
                let mut buffer = vec![0u8; length];
                for number in 0..count {
                    let message = receiver.peek().unwrap();
                    message.read(0, &mut buffer);
                    message.release();
                    assert_eq!(u64::from_le_bytes(buffer[..8].try_into().unwrap()), number);
                }
            },
            || {
                let mut sender = channel.sender().unwrap();
                let buffer = vec![7u8; length];
                for number in 0..count {
                    let mut reservation = sender.reserve(length).unwrap();
                    reservation.write(0, &buffer);
                    reservation.write(0, &number.to_le_bytes());
                    reservation.commit();
                }
            },
        );
        rates.push(count as f64 / time.as_secs_f64());
    }
    let rate = median(rates);
    println!(
        "channel, {producers:?} producer, ring {} KiB, {length} B: {:.2} M messages/s, {:.2} GB/s",
        capacity >> 10,
        rate / 1e6,
        rate * length as f64 / 1e9
    );
}

/// Two processes lock a mutex for 300 ms: how often each, and how long its longest wait was.
fn fairness(live: &'static Live) {
    let region = memory(4096);
    let mutex = Mutex::open(region, 0, live).unwrap();
    let counts = [64, 128].map(|offset| region.cell(offset).unwrap());
    let longest = [72, 136].map(|offset| region.cell(offset).unwrap());
    let begin = region.cell(512).unwrap();
    let work = |which: usize| {
        begin.fetch_add(1, Ordering::SeqCst);
        while begin.load(Ordering::SeqCst) < 2 {
            std::hint::spin_loop();
        }
        let start = Instant::now();
        let mut last = start;
        while last.duration_since(start) < Duration::from_millis(300) {
            let guard = mutex.lock().unwrap();
            let now = Instant::now();
            let wait = u32::try_from(now.duration_since(last).as_micros()).unwrap_or(u32::MAX);
            longest[which].fetch_max(wait, Ordering::Relaxed);
            counts[which].fetch_add(1, Ordering::Relaxed);
            last = now;
            drop(guard);
        }
    };
    together(|| work(0), || work(1));
    let counts = counts.map(|count| count.load(Ordering::Relaxed));
    println!(
        "mutex, two processes at it: {:.1} M locks/s, shares {:.2} to {:.2}, longest wait {} us",
        f64::from(counts[0] + counts[1]) / 0.3e6,
        f64::from(counts[0].min(counts[1])) / f64::from(counts[0] + counts[1]),
        f64::from(counts[0].max(counts[1])) / f64::from(counts[0] + counts[1]),
        longest.map(|longest| longest.load(Ordering::Relaxed)).into_iter().max().unwrap_or(0)
    );
}

/// 8 KiB there and 8 KiB back, written and read by both sides, spinning: half of the time of a round.
fn latency(live: &'static Live) {
    const LENGTH: usize = 8192;
    let options = BroadcastOptions { slots: 4, max_message: LENGTH as u32 };
    let size = Broadcast::byte_len(&options).next_multiple_of(4096);
    let rounds = 20_000;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let region = memory(2 * size);
        let there = Broadcast::open(region, 0, &options, live).unwrap();
        let back = Broadcast::open(region, size, &options, live).unwrap();
        let mut answers = back.reader().unwrap();
        let mut requests = there.reader().unwrap();
        let run = |producer: &mut shm_sync::Producer<'_>, reader: &mut shm_sync::Reader<'_>, first: bool| {
            let mut buffer = vec![0u8; LENGTH];
            for round in 0..rounds {
                if first {
                    buffer.fill(round as u8);
                    producer.send(&buffer).unwrap();
                }
                loop {
                    if let Some(frame) = reader.try_peek().unwrap() {
                        frame.read(0, &mut buffer);
                        assert!(frame.finish().is_some());
                        break;
                    }
                    std::hint::spin_loop();
                }
                if !first {
                    producer.send(&buffer).unwrap();
                }
                assert_eq!((buffer[0], buffer[LENGTH - 1]), (round as u8, round as u8));
            }
        };
        let time = together(
            || run(&mut back.producer(live).unwrap(), &mut requests, false),
            || run(&mut there.producer(live).unwrap(), &mut answers, true),
        );
        times.push(time.as_secs_f64() * 1e9 / f64::from(rounds) / 2.0);
    }
    println!("broadcast, {LENGTH} B, spinning: {:.0} ns one way", median(times));
}

/// What sending and receiving cost without another core: a figure that a busy machine changes little.
fn channel_alone(live: &'static Live, producers: Producers) {
    let options = ChannelOptions { capacity: 1 << 20, producers };
    let channel = Channel::open(memory(Channel::byte_len(&options)), 0, &options, live).unwrap();
    let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    let (message, mut received) = (vec![7u8; black_box(64)], vec![0u8; 64]);
    let count = 5000;
    let (mut sending, mut receiving) = (f64::MAX, f64::MAX);
    for _ in 0..2000 {
        let start = Instant::now();
        for _ in 0..count {
            sender.send(&message).unwrap();
        }
        sending = sending.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
        let start = Instant::now();
        for _ in 0..count {
            let message = receiver.peek().unwrap();
            message.read(0, &mut received);
            message.release();
        }
        receiving = receiving.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    println!(
        "channel, {producers:?} producer, 64 B, one thread: send {sending:.1} ns, receive {receiving:.1} ns"
    );
}

fn main() {
    let live = Live::over(memfd(0).into()).unwrap();
    locks(live);
    fairness(live);
    latency(live);
    for producers in [Producers::One, Producers::Many] {
        channel_alone(live, producers);
        channel(live, 1 << 20, producers, 64, 5_000_000);
        channel(live, 1 << 20, producers, 65_536, 100_000);
    }
}
