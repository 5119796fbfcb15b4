//! Where the words of a channel are. `docs/layout.md` explains them.

use crate::protocol::stamp::Kind;

pub(crate) const KIND: Kind = Kind { name: "channel", letter: b'C' };
pub(crate) const ALIGN: usize = 64;

// Set once.
pub(crate) const CAPACITY: u32 = 8;
pub(crate) const PRODUCERS: u32 = 12;

// Written by producers.
pub(crate) const HEAD: u32 = 128;
pub(crate) const TAIL_SEEN: u32 = 132;
pub(crate) const LOCK: u32 = 136;
pub(crate) const PRODUCER: u32 = 140;

// Written by the consumer.
pub(crate) const TAIL: u32 = 256;
pub(crate) const CONSUMER: u32 = 260;

// Written by those who go to sleep.
pub(crate) const CONSUMER_EVENT: u32 = 384;
pub(crate) const PRODUCERS_EVENT: u32 = 448;

pub(crate) const DATA: u32 = 512;

// A record: its header word, the word of the owner who writes it, the message, padding to a multiple of 8.
pub(crate) const RECORD: u32 = 8;
pub(crate) const OWNER: u32 = 4;
/// Its producer is still writing the message.
pub(crate) const BUSY: u32 = 1 << 31;
/// There is no message in it: the rest of the ring before its end, or a reservation given up.
pub(crate) const SKIP: u32 = 1 << 30;
pub(crate) const LENGTH: u32 = SKIP - 1;

pub(crate) const CAPACITY_MIN: u32 = 64;
pub(crate) const CAPACITY_MAX: u32 = 1 << 30;

/// How much of the ring a message of this length takes, its record's header included.
#[inline]
pub(crate) const fn record_size(length: u32) -> u32 {
    RECORD + length.next_multiple_of(8)
}
