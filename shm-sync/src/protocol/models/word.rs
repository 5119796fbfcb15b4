//! Words for the model checker.
//!
//! loom takes a sequentially consistent access for one that acquires and releases. The language also orders such a
//! write and a later such read of the same thread, whatever words they are of. Here a fence makes that order: between
//! those two, and before any weaker write that lies between them, so that a model fails where one of the two is weaker.

use loom::sync::atomic::{self, Ordering, fence};
use std::cell::Cell;

loom::thread_local! {
    /// This thread has written sequentially consistently since its last fence.
    static WROTE: Cell<bool> = Cell::new(false);
}

fn order_what_was_written() {
    if WROTE.with(|wrote| wrote.replace(false)) {
        fence(Ordering::SeqCst);
    }
}

fn before_read(ordering: Ordering) {
    if ordering == Ordering::SeqCst {
        order_what_was_written();
    }
}

fn before_write(ordering: Ordering) {
    if ordering != Ordering::SeqCst {
        order_what_was_written();
    }
}

fn after_write(ordering: Ordering) {
    if ordering == Ordering::SeqCst {
        WROTE.with(|wrote| wrote.set(true));
    }
}

/// As the standard library's.
#[derive(Debug)]
pub struct AtomicU32(atomic::AtomicU32);

impl AtomicU32 {
    pub(crate) fn new(value: u32) -> Self {
        Self(atomic::AtomicU32::new(value))
    }

    pub(crate) fn load(&self, ordering: Ordering) -> u32 {
        before_read(ordering);
        self.0.load(ordering)
    }

    pub(crate) fn store(&self, value: u32, ordering: Ordering) {
        before_write(ordering);
        self.0.store(value, ordering);
        after_write(ordering);
    }

    pub(crate) fn swap(&self, value: u32, ordering: Ordering) -> u32 {
        self.change(ordering, |word| word.swap(value, ordering))
    }

    pub(crate) fn fetch_add(&self, value: u32, ordering: Ordering) -> u32 {
        self.change(ordering, |word| word.fetch_add(value, ordering))
    }

    pub(crate) fn fetch_sub(&self, value: u32, ordering: Ordering) -> u32 {
        self.change(ordering, |word| word.fetch_sub(value, ordering))
    }

    pub(crate) fn fetch_or(&self, value: u32, ordering: Ordering) -> u32 {
        self.change(ordering, |word| word.fetch_or(value, ordering))
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.change(success, |word| word.compare_exchange(current, new, success, failure))
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.change(success, |word| word.compare_exchange_weak(current, new, success, failure))
    }

    /// Reads and writes, whatever the ordering.
    fn change<T>(&self, ordering: Ordering, change: impl FnOnce(&atomic::AtomicU32) -> T) -> T {
        order_what_was_written();
        let found = change(&self.0);
        after_write(ordering);
        found
    }
}
