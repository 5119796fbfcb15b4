//! Keys that no other test uses.

use std::{
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// An integer key, one of 65,536 for this process: bit 31 set, so that it is negative as a `key_t`.
pub fn fresh_id() -> u32 {
    1 << 31 | (process::id() & 0x7fff) << 16 | COUNT.fetch_add(1, Relaxed) & 0xffff
}

/// A name that this process has not used.
pub fn fresh_name() -> String {
    format!("/shm-test-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed))
}
