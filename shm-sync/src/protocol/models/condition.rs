use super::{Those, Words, check, drive, mutex::lock, owner};
use crate::protocol::{
    condition::Condition,
    layout::condition::{SEQUENCE, WAITERS},
    memory::{Memory, Ordering},
    mutex::LockWord,
};
use loom::{cell::UnsafeCell, sync::Arc, thread};
use std::convert::Infallible;

// Beside the words of the condition.
const MUTEX: u32 = 0;

fn words() -> Vec<u32> {
    vec![MUTEX, SEQUENCE, WAITERS]
}

/// Waits once; returns whether a dead owner left the mutex.
fn wait(words: Words, id: u32, peers: Those) -> bool {
    let (condition, mutex) = (Condition::new(words), LockWord::at(words, MUTEX));
    let mut state = condition.begin(mutex, owner(id)).unwrap();
    let Ok(acquired) = drive(|| Ok::<_, Infallible>(condition.step(&mut state, mutex, owner(id), peers)));
    assert!(state.is_notified());
    acquired.owner_died
}

/// A consumer: waits until there is something, takes it, and unlocks.
fn take(words: Words, id: u32, things: &UnsafeCell<u32>) {
    let mutex = LockWord::at(words, MUTEX);
    lock(mutex, id, Those::Live);
    // SAFETY: that nobody else is here is what the checker checks, here and below.
    while things.with(|things| unsafe { *things }) == 0 {
        wait(words, id, Those::Live);
    }
    // SAFETY: as above.
    things.with_mut(|things| unsafe { *things -= 1 });
    mutex.release(owner(id), 1).unwrap();
}

/// A producer of as many things.
fn bring(words: Words, id: u32, things: &UnsafeCell<u32>, count: u32) {
    let mutex = LockWord::at(words, MUTEX);
    lock(mutex, id, Those::Live);
    // SAFETY: as above.
    things.with_mut(|things| unsafe { *things += count });
    mutex.release(owner(id), 1).unwrap();
}

#[test]
fn a_notification_of_a_waiter_that_is_about_to_sleep_is_not_lost() {
    check(3, words, |words| {
        let things = Arc::new(UnsafeCell::new(0));
        let for_taker = things.clone();
        let taker = thread::spawn(move || take(words, 2, &for_taker));
        bring(words, 1, &things, 1);
        // The mutex is free again: who notifies need not hold it.
        Condition::new(words).notify(1);
        taker.join().unwrap();
        assert_eq!(words.word(WAITERS).load(Ordering::Relaxed), 0);
    });
}

#[test]
fn notify_one_wakes_one_and_notify_all_wakes_all() {
    for count in [1, u32::MAX] {
        check(2, words, move |words| {
            let things = Arc::new(UnsafeCell::new(0));
            let takers = [2, 3].map(|id| {
                let things = things.clone();
                thread::spawn(move || take(words, id, &things))
            });
            bring(words, 1, &things, 2);
            for _ in 0..if count == 1 { 2 } else { 1 } {
                Condition::new(words).notify(count);
            }
            takers.into_iter().for_each(|taker| taker.join().unwrap());
        });
    }
}

#[test]
fn the_owner_that_takes_over_from_a_dead_one_wakes_the_others() {
    check(2, words, |words| {
        let mutex = LockWord::at(words, MUTEX);
        // Two wait; then one locks the mutex and dies before it notifies. Only one of the two finds out by itself.
        let waiters = [(2, Those::Live), (3, Those::Die)].map(|(id, peers)| {
            lock(mutex, id, Those::Live);
            let condition = Condition::new(words);
            let mut state = condition.begin(mutex, owner(id)).unwrap();
            move || {
                let Ok(acquired) =
                    drive(|| Ok::<_, Infallible>(condition.step(&mut state, mutex, owner(id), peers)));
                mutex.release(owner(id), 1).unwrap();
                u32::from(acquired.owner_died)
            }
        });
        lock(mutex, 9, Those::Live);
        let told: u32 = waiters.map(thread::spawn).map(|waiter| waiter.join().unwrap()).iter().sum();
        assert_eq!(told, 1, "exactly one is told");
    });
}
