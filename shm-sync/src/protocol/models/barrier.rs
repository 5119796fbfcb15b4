use super::{Those, Words, check, drive, owner};
use crate::protocol::{
    barrier::{Barrier, Broken},
    layout::barrier::{BROKEN, PHASE, QUEUE, SLOTS, STATE},
    memory::{Memory, Ordering},
};
use loom::{cell::UnsafeCell, sync::Arc, thread};

fn words(parties: u32) -> Vec<u32> {
    [STATE, QUEUE].into_iter().chain((0..parties).map(|slot| SLOTS + slot * 4)).collect()
}

/// Arrives, and waits for the others; `true` for the last one.
fn meet(barrier: Barrier<Words>, peers: Those) -> Result<bool, Broken> {
    let mut arrival = barrier.arrive();
    drive(|| barrier.step(&mut arrival, peers))
}

#[test]
fn no_party_goes_on_before_all_have_arrived() {
    for (parties, phases) in [(2, 3), (3, 1)] {
        check(
            2,
            move || words(parties),
            move |words| {
                let barrier = Barrier::new(words, parties);
                // What each party does in a phase, and the others read in the next.
                let work: Arc<Vec<_>> = Arc::new((0..parties * phases).map(|_| UnsafeCell::new(0)).collect());
                let take_part = move |id: u32, work: &[UnsafeCell<u32>]| {
                    let slot = barrier.join(owner(id), Those::Live).unwrap();
                    let mut last = 0;
                    for phase in 0..phases {
                        let of_phase = &work[(phase * parties) as usize..][..parties as usize];
                        // SAFETY: that nobody else is at it is what the checker checks.
                        of_phase[slot as usize].with_mut(|value| unsafe { *value = id });
                        last += u32::from(meet(barrier, Those::Live).unwrap());
                        for value in of_phase {
                            // SAFETY: as above.
                            assert_ne!(value.with(|value| unsafe { *value }), 0);
                        }
                    }
                    barrier.leave(slot, owner(id)).unwrap();
                    last
                };
                let others: Vec<_> = (2..=parties)
                    .map(|id| {
                        let work = work.clone();
                        thread::spawn(move || take_part(id, &work))
                    })
                    .collect();
                let last = take_part(1, &work);
                let last = last + others.into_iter().map(|other| other.join().unwrap()).sum::<u32>();
                assert_eq!(last, phases, "one came last in each phase");
            },
        );
    }
}

#[test]
fn a_dead_party_breaks_the_phase_once_for_all_waiting_parties() {
    for peers in [[Those::Die, Those::Live], [Those::Die, Those::Die]] {
        check(
            3,
            || words(3),
            move |words| {
                let barrier = Barrier::new(words, 3);
                let dead = barrier.join(owner(9), Those::Live).unwrap();
                for id in [1, 2] {
                    barrier.join(owner(id), Those::Live).unwrap();
                }
                let waiters = peers.map(|peers| {
                    let mut arrival = barrier.arrive();
                    move || drive(|| barrier.step(&mut arrival, peers))
                });
                // One finds out by itself; the other may have to be woken.
                for waiter in waiters.map(thread::spawn) {
                    assert_eq!(waiter.join().unwrap(), Err(Broken));
                }
                assert_eq!(words.word(STATE).load(Ordering::SeqCst), PHASE | BROKEN);
                assert_eq!(barrier.parties().slot(dead).load(Ordering::SeqCst), 0);
            },
        );
    }
}

#[test]
fn a_party_that_joins_in_the_place_of_a_dead_one_breaks_the_phase() {
    check(
        3,
        || words(2),
        |words| {
            let barrier = Barrier::new(words, 2);
            barrier.join(owner(9), Those::Live).unwrap();
            barrier.join(owner(1), Those::Live).unwrap();
            let mut arrival = barrier.arrive();
            let next = thread::spawn(move || {
                barrier.join(owner(2), Those::Die).unwrap();
                meet(barrier, Those::Live).unwrap()
            });
            // It never asks who lives, and so has to be told.
            assert_eq!(drive(|| barrier.step(&mut arrival, Those::Live)), Err(Broken));
            let last = meet(barrier, Those::Live).unwrap();
            assert_ne!(last, next.join().unwrap(), "one of the two came last");
        },
    );
}

#[test]
fn a_party_that_gives_up_takes_back_only_its_own_arrival() {
    check(
        3,
        || words(2),
        |words| {
            let barrier = Barrier::new(words, 2);
            let other = thread::spawn(move || {
                for _ in 0..2 {
                    meet(barrier, Those::Live).unwrap();
                }
            });
            let mut arrival = barrier.arrive();
            if barrier.give_up(&mut arrival) == Ok(None) {
                meet(barrier, Those::Live).unwrap();
            }
            meet(barrier, Those::Live).unwrap();
            other.join().unwrap();
        },
    );
}
