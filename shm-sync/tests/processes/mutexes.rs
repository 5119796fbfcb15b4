use crate::shared::{GENEROUS, Shared};
use shm_sync::{Mutex, SyncError};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

fn open(shared: &Shared) -> Mutex<'_> {
    Mutex::open(shared.region(), 0, shared.live()).unwrap()
}

pub(crate) fn hold(shared: &Shared) {
    let mutex = open(shared);
    let _guard = mutex.lock().unwrap();
    shared.word(0).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

/// Adds 1 to each of two words that always are equal, unless someone died between.
pub(crate) fn count(shared: &Shared, rounds: u64) {
    let mutex = open(shared);
    for _ in 0..rounds {
        let guard = mutex.lock().unwrap();
        let (one, two) = (shared.word(1), shared.word(2));
        let mut value = one.load(Ordering::Relaxed);
        if guard.owner_died() {
            shared.word(3).fetch_add(1, Ordering::Relaxed);
            // Mend what the dead one left.
            value = value.max(two.load(Ordering::Relaxed));
            two.store(value, Ordering::Relaxed);
        }
        assert_eq!(value, two.load(Ordering::Relaxed), "someone was here, and we were not told");
        one.store(value + 1, Ordering::Relaxed);
        two.store(value + 1, Ordering::Relaxed);
        drop(guard);
        shared.word(4).fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_killed_holder_is_noticed_and_the_next_one_is_told() {
    let shared = Shared::new(64);
    let child = shared.spawn("hold", 0);
    shared.until(0, |held| held == 1);
    let mutex = open(&shared);
    assert!(mutex.try_lock().unwrap().is_none());
    assert!(mutex.lock_timeout(Duration::from_millis(50)).unwrap().is_none(), "it lives");
    assert!(matches!(mutex.unlock(), Err(SyncError::NotOwner(_))));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| mutex.lock_timeout(GENEROUS).unwrap().map(|guard| guard.owner_died()));
        std::thread::sleep(Duration::from_millis(30));
        child.kill();
        assert_eq!(waiter.join().unwrap(), Some(true));
    });
    assert!(!mutex.lock().unwrap().owner_died(), "told once");
}

#[test]
fn a_process_that_only_tries_notices_it_too() {
    let shared = Shared::new(64);
    let child = shared.spawn("hold", 0);
    shared.until(0, |held| held == 1);
    child.kill();
    assert!(open(&shared).try_lock().unwrap().unwrap().owner_died());
}

#[test]
fn processes_exclude_each_other_and_go_on_when_any_is_killed() {
    kill_counters("count", 10);
}

pub(crate) fn kill_counters(role: &str, enough: u32) {
    let shared = Shared::new(64);
    let start = Instant::now();
    let mut victims = 0;
    let steady = [shared.spawn("count", 20_000), shared.spawn("count", 20_000)];
    while start.elapsed() < Duration::from_millis(1500) || victims < enough {
        let before = shared.word(4).load(Ordering::SeqCst);
        let mut victim = shared.spawn(role, u64::MAX);
        while victim.is_running() && shared.word(4).load(Ordering::SeqCst) == before {
            assert!(start.elapsed() < 2 * GENEROUS, "nobody gets the mutex");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(u64::from(before % 4000)));
        victim.kill();
        victims += 1;
    }
    assert!(steady.into_iter().all(|child| child.join().success()));
    count(&shared, 100);
    let sum = shared.word(1).load(Ordering::SeqCst);
    let told = shared.word(3).load(Ordering::SeqCst);
    assert!(sum >= 40_100 && told <= victims, "sum {sum}, {told} told of {victims} victims");
}
