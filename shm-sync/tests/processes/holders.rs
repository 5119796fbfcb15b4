//! Killed readers, permit holders, parties and others who hold something.

use crate::shared::{GENEROUS, Process, Shared};
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

/// Takes a permit and gives it back. A word for each permit tells that someone is inside with it.
pub(crate) fn take_permits_for_ever(shared: &Shared) {
    let semaphore = semaphore(shared);
    loop {
        let permit = semaphore.acquire().unwrap();
        let owner_died = permit.owner_died();
        let slot = permit.keep();
        let inside = shared.word(5 + slot as usize);
        assert!(inside.swap(1, Ordering::SeqCst) == 0 || owner_died, "another has this permit");
        inside.store(0, Ordering::SeqCst);
        semaphore.release(slot).unwrap();
        shared.word(4).fetch_add(1, Ordering::SeqCst);
    }
}

const PARTIES: u32 = 3;

/// Meets the others again and again; one who takes the place of a dead one joins first.
pub(crate) fn meet_for_ever(shared: &Shared) {
    let barrier = Barrier::open(shared.region(), 0, PARTIES, shared.live()).unwrap();
    let mut party = loop {
        match barrier.join() {
            Ok(party) => break party,
            Err(SyncError::Full { .. }) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    };
    loop {
        match party.wait() {
            Ok(_) => _ = shared.word(4).fetch_add(1, Ordering::SeqCst),
            Err(SyncError::Broken) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Each of three waits for its turn, under a mutex, and gives the next one its own.
pub(crate) fn take_turns_for_ever(shared: &Shared, which: u64) {
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let condition = Condition::open(shared.region(), 16, shared.live()).unwrap();
    let turn = shared.word(1);
    loop {
        let mut guard = mutex.lock().unwrap();
        if guard.owner_died() {
            condition.notify_all();
        }
        while u64::from(turn.load(Ordering::SeqCst)) % 3 != which {
            guard = condition.wait(guard).unwrap();
        }
        turn.fetch_add(1, Ordering::SeqCst);
        condition.notify_all();
        drop(guard);
        shared.word(4).fetch_add(1, Ordering::SeqCst);
    }
}

const MANY: usize = 200;

/// Does one after the other, each in two halves.
pub(crate) fn do_each_once(shared: &Shared) {
    for which in 0..MANY {
        let once = Once::open(shared.region(), 16 * which, shared.live()).unwrap();
        let (begun, done) = (shared.word(100 + which), shared.word(500 + which));
        once.call(|turn| {
            assert!(
                turn.owner_died() || begun.load(Ordering::SeqCst) == 0,
                "another began, and we were not told"
            );
            begun.fetch_add(1, Ordering::SeqCst);
            done.store(1, Ordering::SeqCst);
        })
        .unwrap();
        assert!(once.is_done() && done.load(Ordering::SeqCst) == 1);
    }
}

/// Three processes at a time run a role to its end; those who die are replaced. Returns how many died.
#[cfg(all(shm_storm, target_os = "linux"))]
pub(crate) fn kill_at_it(role: &str) -> u32 {
    let shared = Shared::new(16 * MANY);
    let (mut died, start) = (0, Instant::now());
    let mut children: Vec<_> = (0..3).map(|_| shared.spawn(role, 0)).collect();
    while !children.is_empty() {
        assert!(start.elapsed() < 2 * GENEROUS, "they wait for the dead");
        std::thread::sleep(Duration::from_micros(200));
        for which in (0..children.len()).rev() {
            if children[which].is_running() {
                continue;
            }
            if !children.swap_remove(which).join().success() {
                died += 1;
                children.push(shared.spawn(role, 0));
            }
        }
    }
    do_each_once(&shared);
    let begun: u32 = (0..MANY).map(|which| shared.word(100 + which).load(Ordering::SeqCst)).sum();
    assert!(begun >= MANY as u32 && begun <= MANY as u32 + died, "{begun} begun, {died} died");
    died
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
fn a_killed_reader_does_not_block_the_writer() {
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
fn after_a_writer_was_killed_all_are_told() {
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
fn work_that_a_killed_process_began_is_done_by_the_next() {
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
fn the_notification_of_a_killed_waiter_is_not_lost() {
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

/// Kills `count` processes of a role in turn; each time the others, and the one in its place, have to go on.
pub(crate) fn kill_at_random(role: &str, count: u64, enough: u32) {
    let shared = Shared::new(256);
    let mut children: Vec<_> = (0..count).map(|which| shared.spawn(role, which)).collect();
    let start = Instant::now();
    let replace = |child: &mut Process, which: usize| {
        std::mem::replace(child, shared.spawn(role, which as u64)).kill();
    };
    let mut killed = 0;
    while start.elapsed() < Duration::from_millis(1500) || killed < enough {
        let before = shared.word(4).load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(500 + u64::from(before % 9000)));
        let which = (u64::from(killed) % count) as usize;
        replace(&mut children[which], which);
        killed += 1;
        let (now, begun) = (shared.word(4).load(Ordering::SeqCst), Instant::now());
        while shared.word(4).load(Ordering::SeqCst) <= now + 10 {
            assert!(begun.elapsed() < GENEROUS, "the killed hold up the living");
            std::thread::sleep(Duration::from_micros(100));
            for (which, child) in children.iter_mut().enumerate() {
                if !child.is_running() {
                    replace(child, which); // by itself, in a storm
                    killed += 1;
                }
            }
        }
    }
    children.into_iter().for_each(Process::kill);
}

#[test]
fn readers_and_writers_killed_at_random_block_nobody() {
    kill_at_random("read and write for ever", 3, 10);
}

#[test]
fn parties_killed_at_random_block_nobody() {
    kill_at_random("meet for ever", 3, 10);
}

#[test]
fn processes_that_wait_in_turn_and_are_killed_block_nobody() {
    kill_at_random("take turns for ever", 3, 10);
}

#[test]
fn permit_holders_killed_at_random_block_nobody() {
    kill_at_random("take permits for ever", 4, 10);
}
