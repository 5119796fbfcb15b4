//! Every interleaving of a few threads, as far as the checker's bounds go:
//! `RUSTFLAGS="--cfg loom" cargo test --release -p shm-sync --lib`

use super::{
    cell::{AtomicU32, Ordering, Words},
    latest::{self, Latest},
    lock_word::{LockWord, Queue},
    ring::{self, Found, Ring, layout::SKIP},
    rw_word::{Core, ReadState, WriteState},
    slots::{Slots, Waiting},
    step::{Deadline, Step, drive},
};
use crate::Owner;
use loom::{cell::UnsafeCell, sync::Arc, thread};
use std::collections::BTreeMap;

/// The few words that a model needs, by byte offset; all zero, as fresh memory.
#[derive(Clone, Copy)]
struct Model(&'static BTreeMap<u32, AtomicU32>);

impl Words<'static> for Model {
    fn word(self, offset: u32) -> &'static AtomicU32 {
        &self.0[&offset]
    }
}

/// Runs a model. The words are freed after each interleaving, when its threads have ended.
fn check(
    preemptions: usize,
    offsets: impl Fn() -> Vec<u32> + Sync + Send + 'static,
    model: impl Fn(Model) + Sync + Send + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(move || {
        let words = offsets().into_iter().map(|offset| (offset, AtomicU32::new(0))).collect();
        let words: *mut BTreeMap<u32, AtomicU32> = Box::into_raw(Box::new(words));
        // SAFETY: just made, and freed below only.
        model(Model(unsafe { &*words }));
        // SAFETY: made above; the model joined its threads.
        drop(unsafe { Box::from_raw(words) });
    });
}

fn owner(id: u32) -> Owner {
    Owner::from_bits(id)
}

fn lock(word: LockWord<'_>, owner: Owner, is_alive: fn(Owner) -> bool) -> bool {
    let mut queue = Queue::default();
    let acquired = drive(Deadline::Never, || Ok(word.step(owner, &mut queue, is_alive)));
    acquired.unwrap().unwrap().owner_died
}

#[test]
fn a_mutex_excludes_and_wakes_whoever_waits() {
    check(
        3,
        || vec![0],
        |model| {
            let word = LockWord(model.word(0));
            let protected = Arc::new(UnsafeCell::new(0));
            let add = move |id, protected: &UnsafeCell<u32>| {
                for _ in 0..if id == 1 { 2 } else { 1 } {
                    assert!(!lock(word, owner(id), |_| true));
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
fn one_of_several_takes_over_from_the_dead() {
    check(
        3,
        || vec![0],
        |model| {
            let word = LockWord(model.word(0));
            word.0.store(9, Ordering::Relaxed);
            let try_it = move |id: u32| {
                let acquired = word.attempt(owner(id), |owner| owner.get() != 9);
                let told = acquired.is_some_and(|acquired| acquired.owner_died);
                if acquired.is_some() {
                    word.release(owner(id), 1).unwrap();
                }
                u32::from(told)
            };
            let threads = [2, 3].map(|id| thread::spawn(move || try_it(id)));
            let told = try_it(1) + threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>();
            assert_eq!(told, 1, "exactly one is told");
            assert_eq!(word.0.load(Ordering::Relaxed), 0);
        },
    );
}

#[test]
fn permits_are_not_given_twice_and_nobody_sleeps_beside_a_free_one() {
    for (permits, threads) in [(1, 3), (2, 3)] {
        check(
            2,
            || vec![0, 4, 8],
            move |model| {
                let slots = Slots::new(model, 0, 4, permits);
                let inside = Arc::new(loom::sync::atomic::AtomicU32::new(0));
                let pass = move |id, inside: &loom::sync::atomic::AtomicU32| {
                    let mut waiting = Waiting::default();
                    let claimed =
                        drive(Deadline::Never, || Ok(slots.step(owner(id), &mut waiting, |_| true)));
                    let slot = claimed.unwrap().unwrap().slot;
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < permits);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    slots.release(slot, owner(id)).unwrap();
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
fn a_writer_is_alone_and_everyone_gets_in() {
    check(
        2,
        || vec![0, 4, 8, 12],
        |model| {
            let core = Core::new(model, 0, Slots::new(model, 4, 8, 2));
            let protected = Arc::new(UnsafeCell::new(0));
            let read = move |id, protected: &UnsafeCell<u32>| {
                let mut state = ReadState::default();
                let read = drive(Deadline::Never, || Ok(core.read_step(owner(id), &mut state, |_| true)));
                let (slot, _) = read.unwrap().unwrap();
                // SAFETY: that no writer is here is what the checker checks.
                let value = protected.with(|value| unsafe { *value });
                core.end_read(slot, owner(id));
                value
            };
            let write = move |id, protected: &UnsafeCell<u32>| {
                let mut state = WriteState::default();
                drive(Deadline::Never, || core.write_step(owner(id), &mut state, |_| true)).unwrap();
                // SAFETY: that nobody else is here is what the checker checks.
                protected.with_mut(|value| unsafe { *value += 1 });
                core.end_write(owner(id));
            };
            let (for_writer, for_reader) = (protected.clone(), protected.clone());
            let writer = thread::spawn(move || write(2, &for_writer));
            let reader = thread::spawn(move || read(3, &for_reader));
            write(1, &protected);
            assert!(reader.join().unwrap() <= 2);
            writer.join().unwrap();
            assert_eq!(read(1, &protected), 2);
        },
    );
}

fn ring_words() -> Vec<u32> {
    use ring::layout::*;
    let header = [HEAD, TAIL_SEEN, LOCK, TAIL, CONSUMER_EVENT, PRODUCERS_EVENT];
    header.into_iter().chain((DATA..DATA + 64).step_by(4)).collect()
}

/// The messages' bytes, which are no atomic words: the checker sees to it that no two threads are at one of them.
#[derive(Clone)]
struct Payload(Arc<[UnsafeCell<u32>; 8]>);

impl Payload {
    fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| UnsafeCell::new(0))))
    }

    fn cell(&self, ring: &Ring<Model>, position: u32) -> &UnsafeCell<u32> {
        &self.0[((ring.offset(position) - ring::layout::DATA) / 8) as usize]
    }

    fn write(&self, ring: &Ring<Model>, position: u32, value: u32) {
        // SAFETY: that nobody else is here is what the checker checks.
        self.cell(ring, position).with_mut(|cell| unsafe { *cell = value });
    }

    fn read(&self, ring: &Ring<Model>, position: u32) -> u32 {
        // SAFETY: as above.
        self.cell(ring, position).with(|cell| unsafe { *cell })
    }
}

/// Receives `count` messages of 8 bytes.
fn receive(ring: Ring<Model>, payload: &Payload, count: usize, is_alive: fn(Owner) -> bool) -> Vec<u32> {
    let mut consumer = ring.consumer();
    (0..count)
        .map(|_| {
            let found = drive(Deadline::Never, || {
                Ok(match ring.find(&mut consumer, is_alive)? {
                    Found::Message { position, length } => Step::Ready((position, length)),
                    found => Step::Wait(ring.wait_for_message(&mut consumer, found)),
                })
            });
            let (position, length) = found.unwrap().unwrap();
            assert_eq!(length, 8);
            let value = payload.read(&ring, position);
            ring.release(&mut consumer, position, length);
            value
        })
        .collect()
}

#[test]
fn one_producer_and_the_consumer_lose_no_message_and_no_wake_up() {
    check(3, ring_words, |model| {
        let (ring, payload) = (Ring::new(model, 64), Payload::new());
        let consumers = payload.clone();
        let consumer = thread::spawn(move || receive(ring, &consumers, 6, |_| true));
        let mut producer = ring.one_producer();
        for value in 1..=6 {
            let position = drive(Deadline::Never, || {
                Ok(match ring.reserve_as_one(&mut producer, 8)? {
                    Ok(position) => Step::Ready(position),
                    Err(tail) => Step::Wait(ring.wait_for_room(tail)),
                })
            });
            let position = position.unwrap().unwrap();
            payload.write(&ring, position, value);
            ring.publish_as_one(&mut producer, position, 8);
        }
        assert_eq!(consumer.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    });
}

fn send_as_many(
    ring: Ring<Model>,
    payload: &Payload,
    id: u32,
    values: impl IntoIterator<Item = Option<u32>>,
) {
    for value in values {
        let mut queue = Queue::default();
        let position = drive(Deadline::Never, || {
            Ok(match ring.reserve_as_many(owner(id), 8, &mut queue, |_| true)? {
                Step::Ready(Ok(position)) => Step::Ready(position),
                Step::Ready(Err(tail)) => {
                    queue = Queue::default();
                    Step::Wait(ring.wait_for_room(tail))
                }
                Step::Wait(pause) => Step::Wait(pause),
            })
        });
        let position = position.unwrap().unwrap();
        if let Some(value) = value {
            payload.write(&ring, position, value);
        }
        ring.commit_as_many(position, if value.is_some() { 8 } else { 8 | SKIP });
    }
}

#[test]
fn many_producers_and_the_consumer_lose_no_message_and_no_wake_up() {
    check(2, ring_words, |model| {
        let (ring, payload) = (Ring::new(model, 64), Payload::new());
        let [others, consumers] = [payload.clone(), payload.clone()];
        let other = thread::spawn(move || send_as_many(ring, &others, 2, [Some(10), None, Some(20)]));
        let consumer = thread::spawn(move || receive(ring, &consumers, 5, |_| true));
        send_as_many(ring, &payload, 1, [Some(1), Some(2), Some(3)]);
        other.join().unwrap();
        let received = consumer.join().unwrap();
        let of = |from: fn(&u32) -> bool| received.iter().copied().filter(from).collect::<Vec<_>>();
        assert_eq!((of(|value| *value < 10), of(|value| *value >= 10)), (vec![1, 2, 3], vec![10, 20]));
    });
}

#[test]
fn a_reader_never_takes_a_torn_message_for_a_whole_one() {
    use latest::layout::*;
    let words = || {
        let header = [HEAD_HIGH, HEAD_LOW, HEAD_HIGH_AGAIN, READERS_EVENT];
        let slot = [0, LENGTH, MESSAGE, MESSAGE + 4];
        let slots = [DATA, DATA + 64].into_iter().flat_map(move |at| slot.map(|offset| at + offset));
        header.into_iter().chain(slots).collect()
    };
    check(3, words, |model| {
        let latest = Latest::new(model, 2, 64);
        let message = move |number| [MESSAGE, MESSAGE + 4].map(|at| latest.word(latest.offset(number) + at));
        let producer = thread::spawn(move || {
            for number in 0..4u64 {
                latest.begin(number);
                latest.length(number).store(8, Ordering::Relaxed);
                for word in message(number) {
                    word.store(number as u32 + 1, Ordering::Relaxed);
                }
                latest.publish(number);
            }
        });
        let mut next = 0;
        while next < 3 {
            let Some(head) = latest.head() else { panic!("the upper half does not change here") };
            if head <= next {
                drive(Deadline::Never, || {
                    let seen = latest.head() != Some(next);
                    Ok(if seen { Step::Ready(()) } else { Step::Wait(latest.wait_for(next)) })
                })
                .unwrap();
                continue;
            }
            // The newest, which is the least likely to go away.
            next = head - 1;
            if latest.is_there(next) {
                let [one, two] = message(next).map(|word| word.load(Ordering::Relaxed));
                if latest.is_still_there(next) {
                    assert_eq!((one, two), (next as u32 + 1, next as u32 + 1));
                    next += 1;
                }
            }
        }
        producer.join().unwrap();
    });
}
