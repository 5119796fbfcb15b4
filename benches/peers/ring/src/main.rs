//! Prints a line of JSON for our channel beside a ring in C: two processes, one producer, messages copied in and out.

use shm_benches::{
    alternate::alternate_timed,
    pair::{live, memory, together},
};
use shm_sync::{Channel, ChannelOptions, Producers};
use std::time::Instant;

const CAPACITY: u32 = 1 << 20;
const ROUNDS: usize = 21;
/// Before the clock starts: both processes run then.
const WARM: u64 = 50_000;

#[repr(C)]
struct Ring {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn ring_make(capacity: u64, spins: i32) -> *mut Ring;
    fn ring_free(ring: *mut Ring);
    fn ring_send(ring: *mut Ring, message: *const u8, length: u32, from: u64, to: u64);
    fn ring_receive(ring: *mut Ring, message: *mut u8, from: u64, to: u64) -> i32;
}

/// Nanoseconds for each message in C.
fn theirs(length: u32, count: u64, spins: i32) -> f64 {
    // SAFETY: the capacity is a power of two and a multiple of the page size.
    let ring = unsafe { ring_make(CAPACITY.into(), spins) };
    assert!(!ring.is_null(), "no room for a ring");
    let mut buffer = vec![7; length as usize];
    let message = buffer.as_mut_ptr();
    let each = together(
        // SAFETY: the ring and the message are there, and we alone send.
        || unsafe { ring_send(ring, message, length, 0, WARM + count) },
        || {
            // SAFETY: there is room for a message, and we alone receive.
            assert_eq!(unsafe { ring_receive(ring, message, 0, WARM) }, 1);
            let start = Instant::now();
            // SAFETY: as above.
            assert_eq!(unsafe { ring_receive(ring, message, WARM, WARM + count) }, 1);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        },
    );
    // SAFETY: nobody uses it any more.
    unsafe { ring_free(ring) };
    each
}

/// Nanoseconds for each message through our channel.
fn ours(channel: &Channel<'_>, length: u32, count: u64) -> f64 {
    together(
        || {
            let mut sender = channel.sender().expect("nobody else sends");
            let message = vec![7; length as usize];
            for number in 0..WARM + count {
                let mut room = sender.reserve(message.len()).expect("room");
                room.write(0, &message);
                // SAFETY: there is room for it; the peer stores it in place too.
                unsafe { room.as_ptr().cast().write(number) };
                room.commit();
            }
        },
        || {
            let mut receiver = channel.receiver().expect("nobody else receives");
            let mut buffer = vec![0; length as usize];
            let mut receive = |numbers: std::ops::Range<u64>| {
                for number in numbers {
                    let message = receiver.peek().expect("a message");
                    message.read(0, &mut buffer);
                    message.release();
                    assert_eq!(buffer[..8], number.to_le_bytes());
                }
            };
            receive(0..WARM);
            let start = Instant::now();
            receive(WARM..WARM + count);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        },
    )
}

fn main() {
    let live = live();
    for (label, length, count) in [("64 B", 64, 2_000_000), ("64 KiB", 65_536, 20_000)] {
        let options = ChannelOptions { capacity: CAPACITY, producers: Producers::One };
        let channel =
            Channel::open(memory(Channel::byte_len(&options)), 0, &options, live).expect("a channel");
        for (against, spins) in [("a ring in C", 200), ("a ring in C that sleeps at once", 0)] {
            let row = alternate_timed(
                &format!("Channel, {label} a message, Rust to Rust"),
                against,
                ROUNDS,
                || ours(&channel, length, count),
                || theirs(length, count, spins),
            );
            println!("{}", row.to_json());
        }
    }
}
