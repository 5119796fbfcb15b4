use super::{Those, Words, check, drive, owner};
use crate::protocol::{
    channel::{Ring, producer::Producer},
    layout::channel::{
        CONSUMER, CONSUMER_EVENT, DATA, HEAD, LOCK, PRODUCER, PRODUCERS_EVENT, TAIL, TAIL_SEEN,
    },
    mutex::LockState,
};
use loom::{cell::UnsafeCell, sync::Arc, thread};

const CAPACITY: u32 = 64;

fn words() -> Vec<u32> {
    let header = [HEAD, TAIL_SEEN, LOCK, PRODUCER, TAIL, CONSUMER, CONSUMER_EVENT, PRODUCERS_EVENT];
    header.into_iter().chain((DATA..DATA + CAPACITY).step_by(4)).collect()
}

/// The messages' bytes, which are no atomic words: the checker sees to it that no two threads are at one of them.
#[derive(Clone)]
struct Payload(Arc<[UnsafeCell<u32>; 8]>);

impl Payload {
    fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| UnsafeCell::new(0))))
    }

    fn cell(&self, ring: &Ring<Words>, position: u32) -> &UnsafeCell<u32> {
        &self.0[((ring.offset(position) - DATA) / 8) as usize]
    }

    fn write(&self, ring: &Ring<Words>, position: u32, value: u32) {
        // SAFETY: that nobody else is here is what the checker checks.
        self.cell(ring, position).with_mut(|cell| unsafe { *cell = value });
    }

    fn read(&self, ring: &Ring<Words>, position: u32) -> u32 {
        // SAFETY: as above.
        self.cell(ring, position).with(|cell| unsafe { *cell })
    }
}

/// Receives `count` messages of 8 bytes.
fn receive(ring: Ring<Words>, payload: &Payload, count: usize) -> Vec<u32> {
    let mut consumer = ring.begin_receiving(owner(7), Those::Live).unwrap();
    (0..count)
        .map(|_| {
            let record = drive(|| ring.find_step(&mut consumer, Those::Live)).unwrap();
            assert_eq!(record.length, 8);
            let value = payload.read(&ring, record.position);
            ring.release(&mut consumer, record);
            value
        })
        .collect()
}

/// Sends messages of 8 bytes; gives up those without a value.
fn send(
    ring: Ring<Words>,
    producer: &mut Producer,
    payload: &Payload,
    values: impl IntoIterator<Item = Option<u32>>,
) {
    for value in values {
        let mut state = LockState::default();
        let position = drive(|| ring.reserve_step(producer, 8, &mut state, Those::Live)).unwrap();
        match value {
            Some(value) => {
                payload.write(&ring, position, value);
                ring.commit(producer, position, 8);
            }
            None => ring.give_up(producer, position, 8),
        }
    }
}

#[test]
fn one_producer_and_the_consumer_lose_no_message_and_no_wake_up() {
    check(3, words, |words| {
        let (ring, payload) = (Ring::new(words, CAPACITY), Payload::new());
        let consumers = payload.clone();
        let consumer = thread::spawn(move || receive(ring, &consumers, 6));
        let mut producer = ring.begin_sending(owner(1), Those::Live).unwrap();
        send(ring, &mut producer, &payload, (1..=6).map(Some));
        assert_eq!(consumer.join().unwrap(), [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn many_producers_and_the_consumer_lose_no_message_and_no_wake_up() {
    check(2, words, |words| {
        let (ring, payload) = (Ring::new(words, CAPACITY), Payload::new());
        let [others, consumers] = [payload.clone(), payload.clone()];
        let other = thread::spawn(move || {
            send(ring, &mut Producer::of_many(owner(2)), &others, [Some(10), None, Some(20)]);
        });
        let consumer = thread::spawn(move || receive(ring, &consumers, 5));
        send(ring, &mut Producer::of_many(owner(1)), &payload, (1..=3).map(Some));
        other.join().unwrap();
        let received = consumer.join().unwrap();
        let of = |from: fn(&u32) -> bool| received.iter().copied().filter(from).collect::<Vec<_>>();
        assert_eq!((of(|value| *value < 10), of(|value| *value >= 10)), (vec![1, 2, 3], vec![10, 20]));
    });
}
