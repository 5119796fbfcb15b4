//! The mark of a mapping that was cut off, and how many were.

use std::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

static SHRINKS: AtomicU32 = AtomicU32::new(0);

/// How many mappings of this process have been cut off so far by another process, or had no room for a page. It only
/// grows, and it changes before anybody can read the zeros.
pub fn shrinks() -> &'static AtomicU32 {
    &SHRINKS
}

/// Whether a mapping was cut off. It is reset when another mapping takes its place in the table.
#[derive(Debug, Default)]
pub struct Mark(AtomicU32);

impl Mark {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether the mapping was cut off.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Relaxed: a thread that read the zeros of a page also sees the mark, which was set before the page was
        // mapped.
        self.0.load(Relaxed) != 0
    }

    /// Sets it, before the first private page is laid.
    pub(super) fn set(&self) {
        if self.0.swap(1, SeqCst) == 0 {
            SHRINKS.fetch_add(1, SeqCst);
        }
    }

    pub(super) fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}
