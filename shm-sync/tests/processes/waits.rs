use crate::shared::{GENEROUS, Shared};
use shm_sync::Outcome;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

pub(crate) fn notify(shared: &Shared) {
    let cell = shared.region().cell(0).unwrap();
    shared.until(0, |ready| ready == 1);
    while shm_sync::notify(cell, 1) == 0 {
        std::thread::yield_now();
    }
}

pub(crate) fn wait(shared: &Shared) {
    let cell = shared.region().cell(0).unwrap();
    shared.word(0).fetch_add(1, Ordering::SeqCst);
    assert_eq!(shm_sync::wait(cell, 0, Some(GENEROUS)).unwrap(), Outcome::Woken);
}

#[test]
fn a_wait_is_woken_by_another_process() {
    let shared = Shared::new(64);
    let child = shared.spawn("notify", 0);
    shared.word(0).store(1, Ordering::SeqCst);
    let cell = shared.region().cell(0).unwrap();
    assert_eq!(shm_sync::wait(cell, 0, Some(GENEROUS)).unwrap(), Outcome::Woken);
    assert!(child.join().success());
}

#[test]
fn a_notify_wakes_as_many_processes_as_it_says() {
    let shared = Shared::new(64);
    let children: Vec<_> = (0..3).map(|_| shared.spawn("wait", 0)).collect();
    let cell = shared.region().cell(0).unwrap();
    shared.until(0, |ready| ready == 3);
    let mut woken = 0;
    while woken < 3 {
        let now = shm_sync::notify(cell, 1);
        assert!(now <= 1);
        woken += now;
    }
    assert!(children.into_iter().all(|child| child.join().success()));
    assert_eq!(shm_sync::notify(cell, u32::MAX), 0);
}

const ROUNDS: u32 = 2000;

/// Sleeps until a cell has a number.
fn sleep_until(cell: &AtomicU32, number: u32) {
    loop {
        match cell.load(Ordering::SeqCst) {
            seen if seen == number => return,
            seen => _ = shm_sync::wait(cell, seen, Some(GENEROUS)).unwrap(),
        }
    }
}

/// Answers each number in the cell at 0 with the same one at 64.
pub(crate) fn answer(shared: &Shared) {
    let (asked, answered) = (shared.region().cell(0).unwrap(), shared.region().cell(64).unwrap());
    for number in 1..=ROUNDS {
        sleep_until(asked, number);
        answered.store(number, Ordering::SeqCst);
        shm_sync::notify(answered, 1);
    }
}

#[test]
#[ignore = "it measures, and prints what it finds: --ignored --nocapture"]
fn how_long_a_wake_up_of_another_process_takes() {
    let shared = Shared::new(128);
    let child = shared.spawn("answer", 0);
    let (asked, answered) = (shared.region().cell(0).unwrap(), shared.region().cell(64).unwrap());
    let ask = |number| {
        let begin = Instant::now();
        asked.store(number, Ordering::SeqCst);
        shm_sync::notify(asked, 1);
        sleep_until(answered, number);
        begin.elapsed() / 2
    };
    let mut waits: Vec<_> = (1..=ROUNDS).map(ask).skip(100).collect();
    waits.sort_unstable();
    let at = |percent| waits[waits.len() * percent / 100];
    println!("half a round trip: p50 {:.0?}, p99 {:.0?}", at(50), at(99));
    assert!(child.join().success());
}
