use super::*;
use crate::protocol::layout::broadcast::{HEAD_HIGH, HEAD_HIGH_AGAIN, HEAD_LOW};
use crate::testing::{Memory, live};
use std::{sync::atomic::AtomicBool, time::Duration};

const OPTIONS: BroadcastOptions = BroadcastOptions { slots: 8, max_message: 100 };

fn memory(options: &BroadcastOptions) -> Memory {
    Memory::new(Broadcast::byte_len(options))
}

fn open(memory: &Memory) -> Broadcast<'_> {
    Broadcast::open(memory.region(), 0, &OPTIONS, live()).unwrap()
}

fn numbers(reader: &mut Reader<'_>) -> Vec<(u64, u64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut message = Vec::new();
    while let Some(Received { number, missed }) = reader.try_receive(&mut message).unwrap() {
        all.push((number, missed, std::mem::take(&mut message)));
    }
    all
}

#[test]
fn every_reader_gets_every_message() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let mut producer = broadcast.producer(live()).unwrap();
    let read_only = Broadcast::attach(memory.read_only(), 0).unwrap();
    assert_eq!(read_only.options(), OPTIONS);
    let mut readers = [broadcast.reader().unwrap(), read_only.reader().unwrap()];
    for length in 0..=100u8 {
        producer.send(&vec![length; length.into()]).unwrap();
        for reader in &mut readers {
            assert_eq!(numbers(reader), [(length.into(), 0, vec![length; length.into()])]);
        }
    }
    assert_eq!(producer.send(&[0; 101]), Err(SyncError::TooLong { length: 101, most: 100 }));
}

#[test]
fn a_slow_reader_is_told_what_it_missed_and_delays_nobody() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let mut producer = broadcast.producer(live()).unwrap();
    let mut reader = broadcast.reader().unwrap();
    for number in 0..100u8 {
        producer.send(&[number]).unwrap();
    }
    let received = numbers(&mut reader);
    assert_eq!(received[0], (94, 94, vec![94]));
    assert!(received[1..].iter().all(|(_, missed, _)| *missed == 0));
    assert_eq!(received.last().unwrap().0, 99);
    reader.rewind().unwrap();
    assert_eq!(numbers(&mut reader).len(), 8);
}

#[test]
fn a_message_that_is_overwritten_while_it_is_read_does_not_count() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let mut producer = broadcast.producer(live()).unwrap();
    let mut reader = broadcast.reader().unwrap();
    producer.send(b"old").unwrap();
    let frame = reader.try_peek().unwrap().unwrap();
    for _ in 0..7 {
        producer.send(b"more").unwrap();
    }
    let draft = producer.draft(3).unwrap();
    assert_eq!(frame.finish(), None);
    drop(draft);
    assert_eq!(numbers(&mut reader)[0], (2, 2, b"more".to_vec()));
}

#[test]
fn a_reader_that_is_overtaken_again_and_again_goes_to_the_newest_message() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let mut producer = broadcast.producer(live()).unwrap();
    let mut reader = broadcast.reader().unwrap();
    let mut lap = || (0..9).map(|_| producer.send(b"x").unwrap()).last().unwrap();
    lap();
    for _ in 0..3 {
        let frame = reader.try_peek().unwrap().unwrap();
        lap();
        assert_eq!(frame.finish(), None);
    }
    let mut message = Vec::new();
    let received = reader.try_receive(&mut message).unwrap().unwrap();
    assert_eq!(received, Received { number: 35, missed: 35 });
    assert_eq!(lap(), 44);
    let received = reader.try_receive(&mut message).unwrap().unwrap();
    assert_eq!(received, Received { number: 39, missed: 3 }, "it keeps up, and may have more than one");
}

#[test]
fn a_draft_that_is_dropped_is_never_seen() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let mut producer = broadcast.producer(live()).unwrap();
    let mut reader = broadcast.reader().unwrap();
    let mut draft = producer.draft(3).unwrap();
    draft.write(0, b"bad");
    drop(draft);
    assert!(reader.try_peek().unwrap().is_none());
    assert_eq!(producer.send(b"good").unwrap(), 0);
    assert_eq!(numbers(&mut reader), [(0, 0, b"good".to_vec())]);
}

#[test]
fn there_is_one_producer_and_the_next_goes_on_with_the_next_number() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let mut producer = broadcast.producer(live()).unwrap();
    assert!(matches!(broadcast.producer(live()), Err(SyncError::Taken("producer", _))));
    producer.send(b"").unwrap();
    drop(producer);
    assert_eq!(broadcast.producer(live()).unwrap().next(), 1);
    let read_only = Broadcast::attach(memory.read_only(), 0).unwrap();
    assert_eq!(read_only.producer(live()).unwrap_err(), SyncError::ReadOnly);
}

#[test]
fn numbers_go_on_beyond_32_bits() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let set = |high: u32, low: u32, again: u32| {
        for (offset, value) in [(HEAD_HIGH, high), (HEAD_LOW, low), (HEAD_HIGH_AGAIN, again)] {
            memory.region().cell(offset as usize).unwrap().store(value, Ordering::Relaxed);
        }
    };
    set(6, u32::MAX - 1, 6);
    let mut producer = broadcast.producer(live()).unwrap();
    let mut reader = broadcast.reader().unwrap();
    for _ in 0..5 {
        producer.send(b"x").unwrap();
    }
    let first = (6 << 32) + u64::from(u32::MAX) - 1;
    let received: Vec<_> = numbers(&mut reader).iter().map(|received| received.0).collect();
    assert_eq!(received, (first..first + 5).collect::<Vec<_>>());
    drop(producer);
    // Killed while moving the head over the edge.
    for (high, low, again, next) in [(8, u32::MAX, 7, (8 << 32) - 1), (8, 0, 7, 8u64 << 32)] {
        set(high, low, again);
        assert_eq!(broadcast.producer(live()).unwrap().next(), next);
        assert_eq!(broadcast.reader().unwrap().next(), next);
    }
}

#[test]
fn options_are_checked() {
    let memory = memory(&OPTIONS);
    for (slots, max_message) in [(0, 1), (1, 1), (3, 1), (2, 0), (2, u32::MAX), (1 << 31, 100)] {
        let options = BroadcastOptions { slots, max_message };
        let refused = Broadcast::open(memory.region(), 0, &options, live());
        assert!(matches!(refused, Err(SyncError::OutOfRange { .. })), "{options:?}");
    }
    assert!(matches!(Broadcast::attach(memory.read_only(), 0), Err(SyncError::Fresh { .. })));
    assert_eq!(Broadcast::open(memory.read_only(), 0, &OPTIONS, live()).unwrap_err(), SyncError::ReadOnly);
}

#[test]
fn readers_that_race_with_the_producer_see_whole_messages_in_order() {
    let options = BroadcastOptions { slots: 4, max_message: 2048 };
    let memory = memory(&options);
    let broadcast = Broadcast::open(memory.region(), 0, &options, live()).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for region in [memory.region(), memory.read_only()] {
            let ended = &ended;
            scope.spawn(move || {
                let mut reader = Broadcast::attach(region, 0).unwrap().reader().unwrap();
                let (mut message, mut expected) = (Vec::new(), reader.next());
                while !ended.load(Ordering::Relaxed) {
                    message.clear();
                    let timeout = Duration::from_millis(5);
                    let Some(got) = reader.receive_timeout(&mut message, timeout).unwrap() else { continue };
                    assert_eq!(got.number, expected + got.missed);
                    expected = got.number + 1;
                    let byte = got.number as u8;
                    assert!(message.iter().all(|&other| other == byte), "torn");
                    assert_eq!(message.len(), 1 + (got.number % 2048) as usize);
                }
            });
        }
        let mut producer = broadcast.producer(live()).unwrap();
        for number in 0..60_000u64 {
            producer.send(&vec![number as u8; 1 + (number % 2048) as usize]).unwrap();
            if number % 64 == 0 {
                std::thread::yield_now();
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
}

#[test]
fn numbers_at_the_end_of_64_bits_do_no_harm() {
    let memory = memory(&OPTIONS);
    let broadcast = open(&memory);
    let set = |head| {
        for offset in [HEAD_HIGH, HEAD_LOW, HEAD_HIGH_AGAIN] {
            memory.region().cell(offset as usize).unwrap().store(head, std::sync::atomic::Ordering::Relaxed);
        }
    };
    set(u32::MAX);
    let mut reader = broadcast.reader().unwrap();
    set(0);
    let mut message = Vec::new();
    for _ in 0..3 {
        drop(reader.try_receive(&mut message));
    }
}

#[test]
fn a_frame_is_resumed_by_a_reader_of_its_own_broadcast_alone() {
    let long = BroadcastOptions { slots: 2, max_message: 5000 };
    let (memory, other) = (memory(&OPTIONS), memory(&long));
    let (broadcast, other) = (open(&memory), Broadcast::open(other.region(), 0, &long, live()).unwrap());
    let (mut reader, mut elsewhere) = (broadcast.reader().unwrap(), other.reader().unwrap());
    broadcast.producer(live()).unwrap().send(b"short").unwrap();
    other.producer(live()).unwrap().send(&[1; 5000]).unwrap();
    let kept = elsewhere.try_peek().unwrap().unwrap().keep();
    assert_eq!(reader.resume(kept).unwrap_err(), SyncError::NotHeld);
    assert_eq!(elsewhere.resume(kept).unwrap().len(), 5000);
}
