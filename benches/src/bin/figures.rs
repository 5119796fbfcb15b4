//! Prints what coordination costs on this machine, with nothing beside it: a mutex that two processes want, and
//! messages of a channel.
//!
//! `cargo run --release -p shm-benches --bin figures`

use shm_benches::pair::{live, memory, together};
use shm_sync::{Channel, ChannelOptions, Live, Mutex, Producers};
use std::{
    hint::black_box,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const RUNS: usize = 7;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn channel(live: &'static Live, capacity: u32, producers: Producers, length: usize, count: u64) {
    let options = ChannelOptions { capacity, producers };
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let region = memory(Channel::byte_len(&options));
        let channel = Channel::open(region, 0, &options, live).unwrap();
        let start = Instant::now();
        together(
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
        rates.push(count as f64 / start.elapsed().as_secs_f64());
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
    let live = live();
    fairness(live);
    for producers in [Producers::One, Producers::Many] {
        channel_alone(live, producers);
        channel(live, 1 << 20, producers, 64, 5_000_000);
        channel(live, 1 << 20, producers, 65_536, 100_000);
    }
}
