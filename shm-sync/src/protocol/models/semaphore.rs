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

#[test]
fn two_threads_that_release_a_slot_at_once_release_it_once() {
    check(
        2,
        || vec![0, 4],
        |words| {
            let slots = Slots::new(words, 0, 4, 1);
            assert_eq!(slots.claim(owner(1)), Some(0));
            // As a writer does that waits for a reader.
            slots.holder(0).wait_while(1).unwrap();
            let release = move || u32::from(slots.release(0, owner(1)).is_ok());
            let threads = [thread::spawn(release), thread::spawn(release)];
            let mut state = ClaimState::default();
            let Ok(_) = drive(|| Ok::<_, Infallible>(slots.step(owner(2), &mut state, Those::Live)));
            assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>(), 1);
            assert_eq!(slots.check_held(0, owner(2)), Ok(()), "the next one has it still");
        },
    );
}
