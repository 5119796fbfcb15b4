//! What an algorithm is given to work on: 32-bit words that it reaches by their offsets, and a way to wake who sleeps.

#[cfg(loom)]
pub(crate) use super::models::word::AtomicU32;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The memory of a structure, which several processes share.
pub(crate) trait Memory<'a>: Copy {
    /// The word at a byte offset: a multiple of four and in bounds, which the creator of an algorithm checks once, for
    /// all offsets that it can reach.
    fn word(self, offset: u32) -> &'a AtomicU32;

    /// Wakes at most `count` sleepers on one of its words, in any process; tells how many.
    fn wake(word: &AtomicU32, count: u32) -> usize;
}

/// Polls `done` a few times, because a peer on another core is often about to finish.
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
