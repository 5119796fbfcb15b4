use crate::shared::{GENEROUS, Shared};
use shm_api::Access;
use shm_sync::{Broadcast, BroadcastOptions};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const OPTIONS: BroadcastOptions = BroadcastOptions { slots: 16, max_message: 4000 };

fn make() -> Shared {
    let shared = Shared::new(Broadcast::byte_len(&OPTIONS));
    Broadcast::open(shared.region(), 0, &OPTIONS, shared.live()).unwrap();
    shared
}

fn check(number: u64, message: &[u8]) {
    assert_eq!(message.len(), 8 + (number % 3900) as usize, "message {number}");
    assert_eq!(message[..8], number.to_le_bytes());
    assert!(message[8..].iter().all(|&byte| byte == number as u8), "torn");
}

pub(crate) fn produce_for_ever(shared: &Shared) {
    let broadcast = Broadcast::attach(shared.region(), 0).unwrap();
    let mut producer = broadcast.producer(shared.live()).unwrap();
    loop {
        let number = producer.next();
        let mut message = vec![number as u8; 8 + (number % 3900) as usize];
        message[..8].copy_from_slice(&number.to_le_bytes());
        producer.send(&message).unwrap();
        shared.word(1).fetch_add(1, Ordering::SeqCst);
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

pub(crate) fn read_for_ever(shared: &Shared, read_only: u64) {
    let access = if read_only == 1 { Access::ReadOnly } else { Access::ReadWrite };
    let mut reader = Broadcast::attach(shared.region_with(access), 0).unwrap().reader().unwrap();
    let (mut message, mut next) = (Vec::new(), reader.next());
    loop {
        message.clear();
        let received =
            reader.receive_timeout(&mut message, GENEROUS).unwrap().expect("the producers stopped");
        assert_eq!(received.number, next + received.missed, "a gap that was not told");
        next = received.number + 1;
        check(received.number, &message);
        shared.word(2 + read_only as usize).fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn kill_producers(role: &str, enough: u32) {
    let shared = make();
    let mut readers = [shared.spawn("read for ever", 0), shared.spawn("read for ever", 1)];
    let start = Instant::now();
    let mut kills = 0;
    while start.elapsed() < Duration::from_millis(1500) || kills < enough {
        let before = shared.word(1).load(Ordering::SeqCst);
        let mut producer = shared.spawn(role, 0);
        let lifetime = Duration::from_micros(200 + u64::from(before % 5000));
        let begun = Instant::now();
        while producer.is_running() && shared.word(1).load(Ordering::SeqCst) == before {
            assert!(begun.elapsed() < GENEROUS, "the next producer does not go on");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(lifetime);
        producer.kill();
        kills += 1;
    }
    assert!(readers.iter_mut().all(|reader| reader.is_running()), "the assertion of one failed");
    assert!(shared.word(2).load(Ordering::SeqCst) > 0 && shared.word(3).load(Ordering::SeqCst) > 0);
}

#[test]
fn producers_killed_at_random_leave_whole_messages() {
    kill_producers("produce for ever", 10);
}
