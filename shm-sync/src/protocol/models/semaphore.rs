use super::{Those, check, drive, owner};
use crate::protocol::semaphore::{ClaimState, Slots};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};
use std::convert::Infallible;

#[test]
fn no_permit_is_given_twice_and_nobody_sleeps_while_one_is_free() {
    for (permits, threads) in [(1, 3), (2, 3)] {
        check(
            2,
            || vec![0, 4, 8],
            move |words| {
                let slots = Slots::new(words, 0, 4, permits);
                let inside = Arc::new(AtomicU32::new(0));
                let pass = move |id, inside: &AtomicU32| {
                    let mut state = ClaimState::default();
                    let Ok(claimed) =
                        drive(|| Ok::<_, Infallible>(slots.step(owner(id), &mut state, Those::Live)));
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < permits);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    slots.release(claimed.slot, owner(id)).unwrap();
                };
                let others: Vec<_> = (2..=threads)
                    .map(|id| {
                        let inside = inside.clone();
                        thread::spawn(move || pass(id, &inside))
                    })
                    .collect();
                pass(1, &inside);
                others.into_iter().for_each(|thread| thread.join().unwrap());
            },
        );
    }
}
