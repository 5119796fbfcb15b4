use super::{Those, Words, check, drive, owner};
use crate::protocol::{
    layout::once::STATE,
    memory::{Memory, Ordering},
    mutex::Acquired,
    once::Once,
    step::Patience,
};
use loom::{cell::UnsafeCell, sync::Arc, thread};
use std::convert::Infallible;

/// Our turn, or `None` when it has been done.
fn begin(once: Once<Words>, id: u32, peers: Those) -> Option<Acquired> {
    let mut patience = Patience::default();
    let Ok(turn) = drive(|| Ok::<_, Infallible>(once.step(owner(id), &mut patience, peers)));
    turn
}

/// Each of the owners does it, but the first of them gives it up.
fn do_it(words: Words, peers: Those, told: u32) {
    let once = Once::new(words);
    let made = Arc::new(UnsafeCell::new(0));
    let call = move |id: u32, made: &UnsafeCell<u32>| {
        let mut told = 0;
        let mut gives_up = id == 1;
        while let Some(turn) = begin(once, id, peers) {
            told += u32::from(turn.owner_died);
            if std::mem::take(&mut gives_up) {
                once.abandon(owner(id));
                continue;
            }
            // SAFETY: that nobody else is at it is what the checker checks.
            made.with_mut(|value| unsafe { *value += 1 });
            once.done(owner(id));
        }
        // SAFETY: it was done before; that we know of it is what the checker checks.
        assert_eq!(made.with(|value| unsafe { *value }), 1);
        told
    };
    let threads = [2, 3].map(|id| {
        let made = made.clone();
        thread::spawn(move || call(id, &made))
    });
    let sum = call(1, &made) + threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>();
    assert_eq!(sum, told);
}

#[test]
fn the_work_is_done_once_and_all_wait_for_it() {
    check(3, || vec![STATE], |words| do_it(words, Those::Live, 0));
}

#[test]
fn after_a_death_one_waiter_does_the_work_and_is_told() {
    check(
        3,
        || vec![STATE],
        |words| {
            words.word(STATE).store(9, Ordering::Relaxed);
            do_it(words, Those::Die, 1);
        },
    );
}
