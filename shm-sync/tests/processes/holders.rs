//! Killed readers, permit holders, parties and others who hold something.

use crate::shared::{GENEROUS, Shared};
use shm_sync::{Barrier, Condition, Mutex, Once, RwLock, Semaphore, SyncError};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const READERS: u32 = 4;

fn lock(shared: &Shared) -> RwLock<'_> {
    RwLock::open(shared.region(), 0, READERS, shared.live()).unwrap()
}

fn semaphore(shared: &Shared) -> Semaphore<'_> {
    Semaphore::open(shared.region(), 0, 2, shared.live()).unwrap()
}

fn barrier(shared: &Shared) -> Barrier<'_> {
    Barrier::open(shared.region(), 0, 2, shared.live()).unwrap()
}

fn once(shared: &Shared) -> Once<'_> {
    Once::open(shared.region(), 0, shared.live()).unwrap()
}

fn stay(shared: &Shared) {
    shared.word(0).fetch_add(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

pub(crate) fn read_and_stay(shared: &Shared) {
    let _guard = lock(shared).read().unwrap();
    stay(shared);
}

pub(crate) fn write_and_stay(shared: &Shared) {
    let _guard = lock(shared).write().unwrap();
    stay(shared);
}

pub(crate) fn hold_a_permit(shared: &Shared) {
    let _permit = semaphore(shared).acquire().unwrap();
    stay(shared);
}

pub(crate) fn join_and_stay(shared: &Shared) {
    let _party = barrier(shared).join().unwrap();
    stay(shared);
}

pub(crate) fn begin_and_stay(shared: &Shared) {
    let _turn = once(shared).begin().unwrap().unwrap();
    stay(shared);
}

/// Reads or writes two words that are equal unless a writer died between.
pub(crate) fn read_and_write_for_ever(shared: &Shared, argument: u64) {
    let lock = lock(shared);
    for round in argument.. {
        let (one, two) = (shared.word(1), shared.word(2));
        if round % 3 == 0 {
            let guard = lock.write().unwrap();
            if guard.owner_died() {
                two.store(one.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            assert_eq!(one.load(Ordering::Relaxed), two.load(Ordering::Relaxed), "not told");
            one.fetch_add(1, Ordering::Relaxed);
            two.fetch_add(1, Ordering::Relaxed);
        } else {
            let guard = lock.read().unwrap();
            let same = one.load(Ordering::Relaxed) == two.load(Ordering::Relaxed);
            assert!(same || guard.owner_died(), "a writer was here");
        }
        shared.word(4).fetch_add(1, Ordering::SeqCst);
    }
}

/// Takes a permit and gives it back. Word 5 has a bit for each who is inside, so the dead do not count.
pub(crate) fn take_permits_for_ever(shared: &Shared, argument: u64) {
    let semaphore = semaphore(shared);
    let bit = 1 << argument;
    loop {
        let permit = semaphore.acquire().unwrap();
        let inside = shared.word(5).fetch_or(bit, Ordering::SeqCst) | bit;
        assert!(inside.count_ones() <= 2, "{inside:b}");
        shared.word(5).fetch_and(!bit, Ordering::SeqCst);
        drop(permit);
        shared.word(4).fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn wait_for_condition(shared: &Shared) {
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let condition = Condition::open(shared.region(), 16, shared.live()).unwrap();
    let mut guard = mutex.lock().unwrap();
    shared.word(0).fetch_add(1, Ordering::SeqCst);
    while shared.word(1).load(Ordering::SeqCst) == 0 {
        guard = condition.wait(guard).unwrap();
    }
    shared.word(1).fetch_sub(1, Ordering::SeqCst);
    drop(guard);
}

#[test]
fn a_killed_reader_does_not_hold_up_the_writer() {
    let shared = Shared::new(256);
    let child = shared.spawn("read and stay", 0);
    shared.until(0, |reads| reads == 1);
    let lock = lock(&shared);
    assert!(lock.try_write().unwrap().is_none());
    assert!(lock.write_timeout(Duration::from_millis(40)).unwrap().is_none(), "it lives");
    child.kill();
    assert!(!lock.write_timeout(GENEROUS).unwrap().unwrap().owner_died());
}

#[test]
fn after_a_killed_writer_all_are_told() {
    let shared = Shared::new(256);
    let child = shared.spawn("write and stay", 0);
    shared.until(0, |writes| writes == 1);
    let lock = lock(&shared);
    assert!(lock.read_timeout(Duration::from_millis(40)).unwrap().is_none(), "it lives");
    assert!(matches!(lock.end_write(), Err(SyncError::NotOwner(_))));
    child.kill();
    assert!(lock.read_timeout(GENEROUS).unwrap().unwrap().owner_died());
    assert!(lock.write().unwrap().owner_died());
    assert!(!lock.read().unwrap().owner_died());
}

#[test]
fn the_permit_of_a_killed_holder_comes_back() {
    let shared = Shared::new(256);
    let children = [shared.spawn("hold a permit", 0), shared.spawn("hold a permit", 0)];
    shared.until(0, |held| held == 2);
    let semaphore = semaphore(&shared);
    assert!(semaphore.acquire_timeout(Duration::from_millis(40)).unwrap().is_none(), "they live");
    let [first, second] = children;
    first.kill();
    let permit = semaphore.acquire_timeout(GENEROUS).unwrap().unwrap();
    assert!(permit.owner_died());
    assert!(semaphore.try_acquire().unwrap().is_none());
    second.kill();
    assert!(semaphore.try_acquire().unwrap().unwrap().owner_died());
}

#[test]
fn a_killed_party_breaks_the_barrier_and_another_takes_its_place() {
    let shared = Shared::new(256);
    let child = shared.spawn("join and stay", 0);
    shared.until(0, |joined| joined == 1);
    let mut party = barrier(&shared).join().unwrap();
    assert_eq!(party.wait_timeout(Duration::from_millis(40)).unwrap(), None);
    child.kill();
    assert_eq!(party.wait_timeout(GENEROUS), Err(SyncError::Broken));
    let mut other = barrier(&shared).join().unwrap();
    let mut arrival = party.arrive().unwrap();
    assert!(other.wait().unwrap());
    arrival.step().unwrap();
}

#[test]
fn what_a_killed_process_began_the_next_one_does() {
    let shared = Shared::new(256);
    let child = shared.spawn("begin and stay", 0);
    shared.until(0, |begun| begun == 1);
    let (mut told, once) = (false, once(&shared));
    std::thread::scope(|scope| {
        let next = scope.spawn(|| once.call(|turn| told = turn.owner_died()).unwrap());
        std::thread::sleep(Duration::from_millis(30));
        child.kill();
        next.join().unwrap();
    });
    assert!(told && once.is_done());
}

#[test]
fn a_killed_waiter_does_not_take_the_notification_with_it() {
    let shared = Shared::new(256);
    let victim = shared.spawn("wait for condition", 0);
    shared.until(0, |waits| waits == 1);
    let survivor = shared.spawn("wait for condition", 0);
    shared.until(0, |waits| waits == 2);
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let condition = Condition::open(shared.region(), 16, shared.live()).unwrap();
    let guard = mutex.lock().unwrap();
    shared.word(1).store(1, Ordering::SeqCst);
    // The victim waits longer, so it is the one that is woken; it cannot go on before we unlock.
    condition.notify_one();
    victim.kill();
    drop(guard);
    assert!(survivor.join().success());
}

pub(crate) fn kill_at_random(shared: &Shared, role: &str, count: u64) {
    let mut children: Vec<_> = (0..count).map(|which| shared.spawn(role, which)).collect();
    let start = Instant::now();
    let mut kills = 0u64;
    while start.elapsed() < Duration::from_millis(1500) {
        let before = shared.word(4).load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(500 + u64::from(before % 9000)));
        let which = kills % count;
        children.remove(which as usize).kill();
        // Nobody is inside any more under this bit.
        shared.word(5).fetch_and(!(1 << which), Ordering::SeqCst);
        children.insert(which as usize, shared.spawn(role, which));
        let now = shared.word(4).load(Ordering::SeqCst);
        shared.until(4, |count| count > now + 10);
        kills += 1;
    }
    assert!(kills > 10);
    for mut child in children {
        assert!(child.is_running(), "its own assertion failed");
    }
}

#[test]
fn readers_and_writers_killed_at_random_hold_nobody_up() {
    let shared = Shared::new(256);
    kill_at_random(&shared, "read and write for ever", 3);
}

#[test]
fn permit_holders_killed_at_random_hold_nobody_up() {
    let shared = Shared::new(256);
    kill_at_random(&shared, "take permits for ever", 4);
}
