use crate::shared::{GENEROUS, Process, Shared};
use shm_sync::{Channel, ChannelOptions, Producers};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const CAPACITY: u32 = 1 << 14;

fn options(producers: Producers) -> ChannelOptions {
    ChannelOptions { capacity: CAPACITY, producers }
}

fn make(producers: Producers) -> Shared {
    let shared = Shared::new(Channel::byte_len(&options(producers)));
    Channel::open(shared.region(), 0, &options(producers), shared.live()).unwrap();
    shared
}

fn attach(shared: &Shared) -> Channel<'_> {
    Channel::attach(shared.region(), 0, shared.live()).unwrap()
}

/// A message that tells who sent it, its number, and whether all of it is there.
fn message(from: u32, number: u32) -> Vec<u8> {
    let length = 12 + (number.wrapping_mul(2_654_435_761) >> 23) as usize; // up to 523
    let mut message = vec![(from ^ number) as u8; length];
    message[..4].copy_from_slice(&from.to_le_bytes());
    message[4..8].copy_from_slice(&number.to_le_bytes());
    message[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    message
}

fn check(received: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_le_bytes(received[at..at + 4].try_into().unwrap());
    let (from, number) = (word(0), word(4));
    assert!(received == message(from, number), "torn: {received:?}");
    (from, number)
}

pub(crate) fn send(shared: &Shared, count: u64) {
    let mut sender = attach(shared).sender().unwrap();
    for number in 0..count as u32 {
        sender.send(&message(0, number)).unwrap();
    }
}

/// Sends from where the one before was killed: word `10 + from` counts the messages begun.
pub(crate) fn send_for_ever(shared: &Shared, from: u64) {
    let mut sender = attach(shared).sender().unwrap();
    let (begun, committed) = (shared.word(10 + from as usize), shared.word(30 + from as usize));
    loop {
        let number = begun.fetch_add(1, Ordering::SeqCst);
        sender.send(&message(from as u32, number)).unwrap();
        committed.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn reserve_and_stop(shared: &Shared) {
    let mut sender = attach(shared).sender().unwrap();
    let mut reservation = sender.reserve(100).unwrap();
    reservation.write(0, &[0xee; 50]);
    shared.word(0).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

/// Receives until killed. Word 1 is the number of the last message that was released.
pub(crate) fn receive_for_ever(shared: &Shared) {
    let mut receiver = attach(shared).receiver().unwrap();
    let mut received = Vec::new();
    loop {
        received.clear();
        let message = receiver.peek().unwrap();
        message.append_to(&mut received);
        let number = check(&received).1;
        let next = shared.word(1).load(Ordering::SeqCst);
        // Killed between the two writes below: this one comes again, as it was not released.
        assert!(number == next || number + 1 == next, "{number} after {next}");
        shared.word(1).store(number + 1, Ordering::SeqCst);
        message.release();
    }
}

pub(crate) fn peek_and_stop(shared: &Shared) {
    let mut receiver = attach(shared).receiver().unwrap();
    let _message = receiver.peek().unwrap();
    shared.word(0).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

#[test]
fn messages_go_from_one_process_to_another() {
    for producers in [Producers::One, Producers::Many] {
        let shared = make(producers);
        let child = shared.spawn("send", 50_000);
        let mut receiver = attach(&shared).receiver().unwrap();
        let mut received = Vec::new();
        for number in 0..50_000 {
            received.clear();
            assert!(receiver.receive_timeout(&mut received, GENEROUS).unwrap());
            assert_eq!(check(&received), (0, number));
        }
        assert!(child.join().success());
    }
}

#[test]
fn a_producer_killed_in_the_middle_loses_only_its_own_message() {
    for producers in [Producers::One, Producers::Many] {
        let shared = make(producers);
        let channel = attach(&shared);
        if producers == Producers::Many {
            channel.sender().unwrap().send(&message(0, 0)).unwrap();
        }
        let child = shared.spawn("reserve and stop", 0);
        shared.until(0, |reserved| reserved == 1);
        if producers == Producers::Many {
            channel.sender().unwrap().send(&message(0, 1)).unwrap();
        }
        child.kill();
        let mut sender = channel.sender().unwrap();
        let already = if producers == Producers::Many { 2 } else { 0 };
        for number in already..5 {
            sender.send(&message(0, number)).unwrap();
        }
        let mut receiver = channel.receiver().unwrap();
        let mut received = Vec::new();
        for number in 0..5 {
            received.clear();
            assert!(receiver.receive_timeout(&mut received, GENEROUS).unwrap());
            assert_eq!(check(&received), (0, number));
        }
        assert!(!receiver.try_receive(&mut received).unwrap());
        assert_eq!(receiver.lost(), if producers == Producers::Many { 1 } else { 0 });
    }
}

#[test]
fn a_killed_consumer_loses_no_message_that_it_had_not_released() {
    let shared = make(Producers::One);
    let channel = attach(&shared);
    channel.sender().unwrap().send(&message(0, 7)).unwrap();
    let child = shared.spawn("peek and stop", 0);
    shared.until(0, |peeked| peeked == 1);
    assert!(channel.receiver().is_err());
    child.kill();
    let mut received = Vec::new();
    assert!(channel.receiver().unwrap().try_receive(&mut received).unwrap());
    assert_eq!(check(&received), (0, 7));
}

pub(crate) fn kill_producers(producers: Producers, role: &str, enough: u32) {
    {
        let shared = make(producers);
        let count = if producers == Producers::One { 1 } else { 3 };
        let mut receiver = attach(&shared).receiver().unwrap();
        let mut children: Vec<Process> = (0..count).map(|from| shared.spawn(role, from)).collect();
        let mut next = vec![0u32; count as usize];
        let mut total = vec![0u32; count as usize];
        let mut received = Vec::new();
        let (start, mut kills, mut last) = (Instant::now(), 0u32, Instant::now());
        let mut take = |timeout: Duration| {
            received.clear();
            if !receiver.receive_timeout(&mut received, timeout).unwrap() {
                return false;
            }
            let (from, number) = check(&received);
            assert!(number >= next[from as usize], "seen twice, or out of order");
            next[from as usize] = number + 1;
            total[from as usize] += 1;
            true
        };
        while start.elapsed() < Duration::from_millis(1500) || kills < enough {
            // In a storm all producers may be dead for a moment.
            take(Duration::from_millis(5));
            assert!(last.elapsed() < GENEROUS, "the killed hold up the living");
            if last.elapsed() > Duration::from_millis(15 + u64::from(kills % 7)) {
                let which = (kills % count as u32) as usize;
                let victim = children.remove(which);
                victim.kill();
                children.insert(which, shared.spawn(role, which as u64));
                (kills, last) = (kills + 1, Instant::now());
            }
        }
        children.into_iter().for_each(Process::kill);
        while take(Duration::from_millis(100)) {}
        for (from, &total) in total.iter().enumerate() {
            let committed = shared.word(30 + from).load(Ordering::SeqCst);
            // A process may die between its commit and its count.
            assert!(total >= committed, "{committed} committed, {total} received");
            assert!(total <= committed + kills + count as u32);
        }
    }
}

#[test]
fn producers_killed_at_random_lose_no_committed_message() {
    for producers in [Producers::One, Producers::Many] {
        kill_producers(producers, "send for ever", 10);
    }
}

#[test]
fn consumers_killed_at_random_lose_no_message() {
    kill_consumers("receive for ever", 15);
}

pub(crate) fn kill_consumers(role: &str, count: u64) {
    let shared = make(Producers::Many);
    let mut sender = attach(&shared).sender().unwrap();
    let mut number = 0;
    for kill in 0..count {
        let mut consumer = shared.spawn(role, 0);
        let start = Instant::now();
        let before = shared.word(1).load(Ordering::SeqCst);
        let lifetime = Duration::from_millis(2 + kill % 5);
        let mut seen = None;
        while seen.is_none_or(|seen: Instant| seen.elapsed() < lifetime) {
            if sender.send_timeout(&message(0, number), Duration::from_millis(5)).unwrap() {
                number += 1;
            } else if !consumer.is_running() {
                break; // by itself, in a storm
            }
            if seen.is_none() && shared.word(1).load(Ordering::SeqCst) != before {
                seen = Some(Instant::now());
            }
            assert!(start.elapsed() < GENEROUS);
        }
        consumer.kill();
    }
    let _last = shared.spawn("receive for ever", 0);
    shared.until(1, |received| received == number);
}
