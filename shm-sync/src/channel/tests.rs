use super::*;
use crate::protocol::memory as words;
use crate::protocol::{
    channel::{
        consumer::{Found, ReceiveWindow},
        producer::{Producer, SendWindow},
    },
    layout::channel::{BUSY, HEAD, LENGTH, RECORD, SKIP, TAIL, TAIL_SEEN, record_size},
};
use crate::testing::{Lives, Memory, live};
use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

fn options(capacity: u32, producers: Producers) -> ChannelOptions {
    ChannelOptions { capacity, producers }
}

fn memory(capacity: u32) -> Memory {
    Memory::new(DATA as usize + capacity as usize)
}

const BOTH: [Producers; 2] = [Producers::One, Producers::Many];

#[test]
fn messages_of_every_length_arrive_in_order_and_whole() {
    for producers in BOTH {
        let memory = memory(1024);
        let channel = Channel::open(memory.region(), 0, &options(1024, producers), live()).unwrap();
        let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
        let mut received = Vec::new();
        for length in (0..=channel.max_message()).chain((0..=channel.max_message()).rev()) {
            let message: Vec<u8> = (0..length).map(|at| (at + length) as u8).collect();
            sender.send(&message).unwrap();
            received.clear();
            receiver.receive(&mut received).unwrap();
            assert_eq!(received, message);
        }
        assert!(!receiver.try_receive(&mut received).unwrap());
    }
}

#[test]
fn a_message_longer_than_half_the_ring_is_an_error() {
    for producers in BOTH {
        let memory = memory(64);
        let channel = Channel::open(memory.region(), 0, &options(64, producers), live()).unwrap();
        let mut sender = channel.sender().unwrap();
        assert_eq!(sender.send(&[0; 25]), Err(SyncError::TooLong { length: 25, most: 24 }));
        sender.send(&[0; 24]).unwrap();
        assert!(sender.try_reserve(usize::MAX).is_err());
    }
}

#[test]
fn a_full_channel_makes_the_producer_wait() {
    for producers in BOTH {
        let memory = memory(64);
        let channel = Channel::open(memory.region(), 0, &options(64, producers), live()).unwrap();
        let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
        for _ in 0..4 {
            assert!(sender.try_send(b"8 bytes.").unwrap());
        }
        assert!(!sender.try_send(b"").unwrap());
        assert!(!sender.send_timeout(b"", Duration::from_millis(5)).unwrap());
        let mut received = Vec::new();
        receiver.receive(&mut received).unwrap();
        assert!(sender.try_send(b"8 bytes.").unwrap());
    }
}

#[test]
fn a_message_that_was_peeked_and_not_released_comes_again() {
    for producers in BOTH {
        let memory = memory(64);
        let channel = Channel::open(memory.region(), 0, &options(64, producers), live()).unwrap();
        channel.sender().unwrap().send(b"hello").unwrap();
        let mut receiver = channel.receiver().unwrap();
        for _ in 0..2 {
            let message = receiver.peek().unwrap();
            let mut part = [0; 8];
            assert_eq!(message.read(1, &mut part), 4);
            assert_eq!(&part[..4], b"ello");
        }
        drop(receiver);
        let mut receiver = channel.receiver().unwrap();
        receiver.peek().unwrap().release();
        assert!(receiver.try_peek().unwrap().is_none());
    }
}

#[test]
fn a_reservation_that_is_dropped_sends_nothing() {
    for producers in BOTH {
        let memory = memory(64);
        let channel = Channel::open(memory.region(), 0, &options(64, producers), live()).unwrap();
        let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
        for _ in 0..100 {
            drop(sender.reserve(20).unwrap());
            sender.send(b"sent").unwrap();
            let mut received = Vec::new();
            receiver.receive(&mut received).unwrap();
            assert_eq!(received, b"sent");
            assert!(!receiver.try_receive(&mut received).unwrap());
        }
    }
}

#[test]
fn a_consumer_that_only_tries_frees_the_room_of_reservations_that_were_given_up() {
    let memory = memory(64);
    let channel = Channel::open(memory.region(), 0, &options(64, Producers::Many), live()).unwrap();
    let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    let mut received = Vec::new();
    for _ in 0..10 {
        drop(sender.try_reserve(24).unwrap().expect("there is room"));
        assert!(!receiver.try_receive(&mut received).unwrap());
    }
}

#[test]
fn a_reservation_is_resumed_by_its_own_sender_alone() {
    for producers in BOTH {
        let (memory, other) = (memory(64), memory(4096));
        let channel = Channel::open(memory.region(), 0, &options(64, producers), live()).unwrap();
        let other = Channel::open(other.region(), 0, &options(4096, producers), live()).unwrap();
        let (mut sender, mut elsewhere) = (channel.sender().unwrap(), other.sender().unwrap());
        let kept = elsewhere.reserve(1000).unwrap().keep();
        assert_eq!(sender.resume(kept).unwrap_err(), SyncError::NotHeld, "longer than the ring");
        elsewhere.resume(kept).unwrap().commit();
        let kept = sender.reserve(3).unwrap().keep();
        sender.resume(kept).unwrap().commit();
        assert_eq!(sender.resume(kept).unwrap_err(), SyncError::NotHeld, "it is sent");
    }
}

#[test]
fn positions_wrap_around() {
    for producers in BOTH {
        let memory = memory(64);
        let channel = Channel::open(memory.region(), 0, &options(64, producers), live()).unwrap();
        for offset in [HEAD, TAIL_SEEN, TAIL] {
            memory.region().cell(offset as usize).unwrap().store(u32::MAX - 39, Ordering::Relaxed);
        }
        let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
        for number in 0..100u32 {
            sender.send(&number.to_le_bytes()).unwrap();
            sender.send(&[7; 9]).unwrap();
            let mut received = Vec::new();
            receiver.receive(&mut received).unwrap();
            assert_eq!(received, number.to_le_bytes());
            receiver.receive(&mut received).unwrap();
        }
    }
}

#[test]
fn a_channel_has_one_consumer_and_one_producer_or_many() {
    let memory = memory(64);
    let channel = Channel::open(memory.region(), 0, &options(64, Producers::One), live()).unwrap();
    let (sender, receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    assert!(matches!(channel.sender(), Err(SyncError::Taken("producer", _))));
    assert!(matches!(channel.receiver(), Err(SyncError::Taken("consumer", _))));
    let told = channel.receiver().unwrap_err().to_string();
    assert!(told.starts_with("another consumer (owner ") && told.contains("is active; only one"), "{told}");
    drop((sender, receiver));
    assert!(channel.sender().is_ok() && channel.receiver().is_ok());
}

#[test]
fn a_record_that_a_dead_producer_left_is_skipped() {
    let memory = memory(256);
    let channel = Channel::open(memory.region(), 0, &options(256, Producers::Many), live()).unwrap();
    let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    let reservation = sender.reserve(8).unwrap();
    let owner = reservation.offset() - 4;
    std::mem::forget(reservation);
    sender.send(b"after").unwrap();
    let mut received = Vec::new();
    assert!(!receiver.receive_timeout(&mut received, Duration::from_millis(30)).unwrap(), "alive");
    memory.region().cell(owner).unwrap().store(crate::Owner::MAX, Ordering::Relaxed);
    receiver.receive(&mut received).unwrap();
    assert_eq!((received.as_slice(), receiver.lost()), (&b"after"[..], 1));
}

#[test]
fn options_are_checked_and_remembered() {
    let memory = memory(1024);
    for capacity in [0, 32, 63, 96, u32::MAX, 1 << 31] {
        let error = Channel::open(memory.region(), 0, &options(capacity, Producers::One), live());
        assert!(matches!(error, Err(SyncError::OutOfRange { .. })), "{capacity}");
    }
    assert!(matches!(Channel::attach(memory.region(), 0, live()), Err(SyncError::Fresh { what: "channel" })));
    Channel::open(memory.region(), 0, &options(1024, Producers::Many), live()).unwrap();
    let attached = Channel::attach(memory.region(), 0, live()).unwrap();
    assert_eq!(attached.options(), options(1024, Producers::Many));
    let other = Channel::open(memory.region(), 0, &options(512, Producers::Many), live());
    assert!(matches!(other, Err(SyncError::Options { found: 1024, wanted: 512, .. })));
    let told = other.unwrap_err().to_string();
    assert!(told.contains("this channel was created with capacity=1024, opened with capacity=512"), "{told}");
    let told =
        Channel::open(memory.region(), 0, &options(1024, Producers::One), live()).unwrap_err().to_string();
    assert!(told.contains("producers=Producers::Many, opened with producers=Producers::One"), "{told}");
    let small = Channel::open(memory.region(), 64, &options(1024, Producers::Many), live());
    assert!(matches!(small, Err(SyncError::TooSmall { .. })));
}

#[test]
fn many_threads_send_and_nothing_is_lost() {
    let memory = memory(4096);
    let rounds = 5000u32;
    let open = || Channel::open(memory.region(), 0, &options(4096, Producers::Many), live()).unwrap();
    std::thread::scope(|scope| {
        for from in 0..3u32 {
            scope.spawn(move || {
                let mut sender = open().sender().unwrap();
                for number in 0..rounds {
                    let mut message = vec![from as u8; 8 + (number % 90) as usize];
                    message[..4].copy_from_slice(&from.to_le_bytes());
                    message[4..8].copy_from_slice(&number.to_le_bytes());
                    sender.send(&message).unwrap();
                }
            });
        }
        let mut receiver = open().receiver().unwrap();
        let mut next = [0; 3];
        let mut received = Vec::new();
        for _ in 0..3 * rounds {
            received.clear();
            receiver.receive(&mut received).unwrap();
            let from = received[0] as usize;
            let number = u32::from_le_bytes(received[4..8].try_into().unwrap());
            assert_eq!(number, next[from]);
            next[from] += 1;
            assert!(received[8..].iter().all(|&byte| byte == from as u8));
        }
    });
}

#[test]
fn a_record_beyond_the_head_or_the_rings_end_is_damage() {
    let memory = memory(64);
    let channel = Channel::open(memory.region(), 0, &options(64, Producers::One), live()).unwrap();
    let set = |offset: u32, value: u32| {
        memory.region().cell(offset as usize).unwrap().store(value, Ordering::Relaxed);
    };
    // Head, tail, and the header of the record at the tail.
    for (head, tail, header) in [
        (32, 0, 25),
        (64, 0, LENGTH),
        (80, 48, 20),
        (112, 48, 56),
        (80, 48, 20 | SKIP),
        (80, 48, 20 | BUSY),
        (4, 0, 0),
        (64, 68, 0),
        (72, 0, 0),
        (0, 8, 0),
    ] {
        set(HEAD, head);
        set(TAIL, tail);
        set(DATA + tail % 64, header);
        let mut received = Vec::new();
        let result = channel.receiver().unwrap().try_receive(&mut received);
        assert!(matches!(result, Err(SyncError::Damaged { .. })), "{head} {tail} {header:#x}: {result:?}");
    }
}

/// Reserves room for 8 bytes, as an owner of another process.
fn reserve_elsewhere(ring: Ring<Region<'_>>) -> u32 {
    let mut producer = Producer::of_many(Owner::from_word(9));
    let reserved = ring.attempt_reserve(&mut producer, 8, Lives(|_| true)).unwrap();
    reserved.expect("there is room")
}

#[test]
fn a_message_that_a_producer_committed_just_before_it_died_is_not_lost() {
    let memory = memory(64);
    let ring = Ring::new(memory.region(), 64);
    let position = reserve_elsewhere(ring);
    let mut consumer = ring.begin_receiving(Owner::from_word(8), Lives(|_| true)).unwrap();
    assert_eq!(ring.find(&mut consumer, Lives(|_| true)).unwrap(), Found::Busy { position });
    // It commits between our look at its record and our question.
    let commits = |_| {
        ring.commit(&mut Producer::of_many(Owner::from_word(9)), position, 8);
        false
    };
    let found = ring.find(&mut consumer, Lives(commits)).unwrap();
    assert_eq!((found, consumer.lost), (Found::Message(Record { position, length: 8 }), 0));
}

#[test]
fn the_records_of_several_dead_producers_are_skipped_together() {
    let memory = memory(256);
    let ring = Ring::new(memory.region(), 256);
    for _ in 0..5 {
        reserve_elsewhere(ring);
    }
    let mut consumer = ring.begin_receiving(Owner::from_word(8), Lives(|_| true)).unwrap();
    assert_eq!(ring.find(&mut consumer, Lives(|_| false)).unwrap(), Found::Nothing);
    assert_eq!(consumer.lost, 5);
}

#[test]
fn a_kept_message_and_a_kept_reservation_can_be_resumed() {
    for producers in [Producers::One, Producers::Many] {
        let options = ChannelOptions { capacity: 64, producers };
        let memory = Memory::new(Channel::byte_len(&options));
        let channel = Channel::open(memory.region(), 0, &options, live()).unwrap();
        let channel = channel.for_owner(live().new_owner().unwrap());
        let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
        for round in 0..20u8 {
            let mut reservation = sender.reserve(9).unwrap();
            let place = reservation.offset();
            reservation.write(0, &[round; 9]);
            let kept = reservation.keep();
            assert!(receiver.try_peek().unwrap().is_none());
            let reservation = sender.resume(kept).unwrap();
            assert_eq!((reservation.offset(), reservation.len()), (place, 9));
            reservation.commit();

            let kept = receiver.peek().unwrap().keep();
            let message = receiver.resume(kept).unwrap();
            let mut bytes = [0; 9];
            assert_eq!((message.read(0, &mut bytes), bytes), (9, [round; 9]));
            message.release();
            assert_eq!(receiver.resume(kept).unwrap_err(), SyncError::NotHeld);
        }
    }
}

#[test]
fn a_kept_reservation_can_be_dropped() {
    let options = ChannelOptions { capacity: 256, producers: Producers::Many };
    let memory = Memory::new(Channel::byte_len(&options));
    let channel = Channel::open(memory.region(), 0, &options, live()).unwrap();
    let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    let kept = [(); 2].map(|()| sender.reserve(8).unwrap().keep());
    sender.send(b"behind").unwrap();
    assert!(receiver.try_peek().unwrap().is_none(), "in the order of their reservations");
    kept.into_iter().for_each(|kept| drop(sender.resume(kept).unwrap()));
    let mut message = Vec::new();
    assert!(receiver.try_receive(&mut message).unwrap());
    assert_eq!(message, b"behind");
}

/// As a binding for another language does: it works within what the two ends have found, and asks them otherwise.
struct Binding<'a> {
    region: Region<'a>,
    ring: Ring<Region<'a>>,
    sender: NonNull<Sender<'a>>,
    receiver: NonNull<Receiver<'a>>,
    within: (u32, u32),
}

impl Binding<'_> {
    fn word(&self, at: u32) -> &AtomicU32 {
        self.region.cell(at as usize).unwrap()
    }

    fn send(&mut self, message: [u8; 8]) {
        // SAFETY: the sender is there, and used through this pointer only.
        let window = unsafe { Sender::window(self.sender) };
        // SAFETY: as above.
        let SendWindow { head, room } = unsafe { window.read() };
        if record_size(8) > room {
            // SAFETY: as above.
            assert!(unsafe { self.sender.as_mut() }.try_send(&message).unwrap());
            return;
        }
        let at = self.ring.offset(head);
        // SAFETY: as many bytes are free there.
        unsafe { self.region.byte(at + RECORD).cast().write(message) };
        self.word(at).store(8, Ordering::Relaxed);
        let head = head.wrapping_add(record_size(8));
        // SAFETY: as above.
        unsafe { window.write(SendWindow { head, room: room - record_size(8) }) };
        self.word(HEAD).store(head, Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { self.sender.as_ref() }.wake();
        self.within.0 += 1;
    }

    fn receive(&mut self) -> [u8; 8] {
        // SAFETY: the receiver is there, and used through this pointer only.
        let window = unsafe { Receiver::window(self.receiver) };
        // SAFETY: as above.
        let ReceiveWindow { tail, readable, .. } = unsafe { window.read() };
        let at = self.ring.offset(tail);
        let header = self.word(at).load(Ordering::Acquire);
        if header & (BUSY | SKIP) != 0 || record_size(header) > readable {
            let mut message = [0; 8];
            // SAFETY: as above.
            let found = unsafe { self.receiver.as_mut() }.peek().unwrap();
            assert_eq!(found.read(0, &mut message), 8);
            found.release();
            return message;
        }
        // SAFETY: the message is there.
        let message = unsafe { self.region.byte(at + RECORD).cast().read() };
        let (tail, readable) = (tail.wrapping_add(record_size(8)), readable - record_size(8));
        // SAFETY: as above.
        unsafe { window.write(ReceiveWindow { tail, tail_published: tail, readable }) };
        self.word(TAIL).store(tail, Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { self.receiver.as_ref() }.wake();
        self.within.1 += 1;
        message
    }
}

#[test]
fn a_binding_sends_and_receives_within_the_windows() {
    let memory = memory(128);
    let channel = Channel::open(memory.region(), 0, &options(128, Producers::One), live()).unwrap();
    let sender = NonNull::from(Box::leak(Box::new(channel.sender().unwrap())));
    let receiver = NonNull::from(Box::leak(Box::new(channel.receiver().unwrap())));
    let Channel { region, ring, .. } = channel;
    let mut binding = Binding { region, ring, sender, receiver, within: (0, 0) };
    for round in 0..100u8 {
        (0..5).for_each(|number| binding.send([round, number, 0, 0, 0, 0, 0, 1]));
        for number in 0..5 {
            assert_eq!(binding.receive(), [round, number, 0, 0, 0, 0, 0, 1]);
        }
    }
    assert!(binding.within.0 > 200 && binding.within.1 > 200, "{:?}", binding.within);
    // SAFETY: leaked above, and no longer used.
    drop(unsafe { Box::from_raw(sender.as_ptr()) });
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(receiver.as_ptr()) });
}

/// Memory in which somebody moves the head whenever it is looked at.
#[derive(Clone, Copy)]
struct Moving<'a>(Region<'a>);

impl<'a> words::Memory<'a> for Moving<'a> {
    fn word(self, offset: u32) -> &'a AtomicU32 {
        let word = words::Memory::word(self.0, offset);
        if offset == HEAD && word.load(Ordering::Relaxed) < 1 << 16 {
            word.fetch_add(8, Ordering::Relaxed);
        }
        word
    }

    fn wake(_: &AtomicU32, _: u32) -> usize {
        0
    }
}

#[test]
fn a_head_that_moves_on_without_end_is_an_error() {
    let memory = memory(64);
    for record in 0..8 {
        let header = memory.region().cell(DATA as usize + 8 * record).unwrap();
        header.store(SKIP, Ordering::Relaxed);
    }
    let ring = Ring::new(Moving(memory.region()), 64);
    let peers = Lives(|_| true);
    let mut consumer = ring.begin_receiving(live().new_owner().unwrap(), peers).unwrap();
    let found = ring.find(&mut consumer, peers).map_err(SyncError::from);
    assert!(matches!(found, Err(SyncError::Damaged { .. })), "{found:?}");
}
