//! Where the words of a broadcast are. `docs/layout.md` explains them.

use crate::protocol::stamp::Kind;

pub(crate) const KIND: Kind = Kind { name: "broadcast", letter: b'P' };
pub(crate) const ALIGN: usize = 64;

// Set once.
pub(crate) const SLOTS: u32 = 8;
pub(crate) const MAX_MESSAGE: u32 = 12;

// Written by the producer.
pub(crate) const HEAD_HIGH: u32 = 128;
pub(crate) const HEAD_LOW: u32 = 132;
pub(crate) const HEAD_HIGH_AGAIN: u32 = 136;
pub(crate) const PRODUCER: u32 = 140;

// Written by readers that go to sleep.
pub(crate) const READERS_EVENT: u32 = 256;

pub(crate) const DATA: u32 = 512;

// A slot: a stamp that tells which message it holds, the message's length, the message.
pub(crate) const LENGTH: u32 = 4;
pub(crate) const MESSAGE: u32 = 8;

pub(crate) const SLOTS_MIN: u32 = 2;
pub(crate) const SIZE_MAX: u64 = 1 << 31;

/// From one slot to the next.
pub(crate) const fn stride(max_message: u32) -> u64 {
    (MESSAGE as u64 + max_message as u64).next_multiple_of(64)
}
