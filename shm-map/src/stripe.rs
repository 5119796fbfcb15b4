//! Which line of counters a thread writes to. Threads that are started one after the other have different lines.

use std::{
    cell::Cell,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

thread_local! {
    static LINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The thread's number.
#[inline]
pub(crate) fn of_this_thread() -> usize {
    let line = LINE.get();
    if line == usize::MAX { choose() } else { line }
}

#[cold]
fn choose() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Processes that are started one after the other have their own, and so have the first threads of each.
    let line = (process::id() as usize).wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    LINE.set(line >> 1);
    line >> 1
}
