//! The 32-bit words that everything here is made of, and how an algorithm reaches them.
//!
//! Algorithms are written over [`Words`], so that a model checker can run them on words of its own.

#[cfg(loom)]
pub(crate) use super::model_cell::AtomicU32;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Words that are reached by their byte offset. The offset is a multiple of four and in bounds: whoever
/// makes an algorithm checks that once, for all the offsets that it can come to.
pub(crate) trait Words<'a>: Copy {
    /// The word at `offset`.
    fn word(self, offset: u32) -> &'a AtomicU32;
}

/// Looks at `done` a few times, as a peer on another core is often about to do what we wait for.
#[inline]
pub(crate) fn spin(mut done: impl FnMut() -> bool) -> bool {
    #[cfg(not(loom))]
    for _ in 0..SPINS {
        if done() {
            return true;
        }
        std::hint::spin_loop();
    }
    done()
}

/// Lets that much time go by. A model has none.
#[inline]
pub(crate) fn pause(pauses: u32) {
    if cfg!(not(loom)) {
        (0..pauses).for_each(|_| std::hint::spin_loop());
    }
}

#[cfg(not(loom))]
const SPINS: u32 = 200;
