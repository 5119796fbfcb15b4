use super::{Those, Words, check, drive, owner};
use crate::protocol::{
    memory::{Memory, Ordering},
    mutex::{LockState, LockWord},
};
use loom::{cell::UnsafeCell, sync::Arc, thread};
use std::convert::Infallible;

/// Locks it; returns whether the owner before died.
pub(super) fn lock(word: LockWord<'static, Words>, id: u32, peers: Those) -> bool {
    let mut state = LockState::default();
    let Ok(acquired) = drive(|| Ok::<_, Infallible>(word.step(owner(id), &mut state, peers)));
    acquired.owner_died
}

#[test]
fn a_mutex_excludes_and_wakes_the_waiters() {
    check(
        3,
        || vec![0],
        |words| {
            let word = LockWord::at(words, 0);
            let protected = Arc::new(UnsafeCell::new(0));
            let add = move |id, protected: &UnsafeCell<u32>| {
                for _ in 0..if id == 1 { 2 } else { 1 } {
                    assert!(!lock(word, id, Those::Live));
                    // SAFETY: that nobody else is here is what the checker checks.
                    protected.with_mut(|value| unsafe { *value += 1 });
                    word.release(owner(id), 1).unwrap();
                }
            };
            let threads = [2, 3].map(|id| {
                let protected = protected.clone();
                thread::spawn(move || add(id, &protected))
            });
            add(1, &protected);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            // SAFETY: the threads have ended.
            assert_eq!(protected.with(|value| unsafe { *value }), 4);
        },
    );
}

#[test]
fn two_threads_that_unlock_at_once_unlock_once() {
    check(
        3,
        || vec![0],
        |words| {
            let word = LockWord::at(words, 0);
            lock(word, 1, Those::Live);
            word.wait_while(word.load(Ordering::SeqCst)).unwrap();
            let unlock = move || u32::from(word.release(owner(1), 1).is_ok());
            let threads = [thread::spawn(unlock), thread::spawn(unlock)];
            lock(word, 2, Those::Live);
            assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>(), 1);
            assert_eq!(word.check_held(owner(2)), Ok(()), "the next one has it still");
        },
    );
}

#[test]
fn one_waiter_is_told_of_a_panic() {
    check(
        3,
        || vec![0],
        |words| {
            let word = LockWord::at(words, 0);
            assert!(!lock(word, 1, Those::Live));
            let threads = [2, 3].map(|id| {
                thread::spawn(move || {
                    let told = lock(word, id, Those::Live);
                    word.release(owner(id), 1).unwrap();
                    u32::from(told)
                })
            });
            word.release_as_dead(owner(1), 1).unwrap();
            let told = threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>();
            assert_eq!(told, 1, "exactly one is told");
            assert_eq!(words.word(0).load(Ordering::Relaxed), 0);
        },
    );
}

#[test]
fn one_of_several_waiters_takes_over_from_a_dead_owner() {
    check(
        3,
        || vec![0],
        |words| {
            words.word(0).store(9, Ordering::Relaxed);
            let word = LockWord::at(words, 0);
            let try_it = move |id: u32| {
                let acquired = word.attempt(owner(id), Those::Die);
                let told = acquired.is_some_and(|acquired| acquired.owner_died);
                if acquired.is_some() {
                    word.release(owner(id), 1).unwrap();
                }
                u32::from(told)
            };
            let threads = [2, 3].map(|id| thread::spawn(move || try_it(id)));
            let told = try_it(1) + threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>();
            assert_eq!(told, 1, "exactly one is told");
            assert_eq!(words.word(0).load(Ordering::Relaxed), 0);
        },
    );
}
