//! Surviving a peer that shrinks what we have mapped.
//!
//! Whoever may write to a POSIX object may make it smaller (ftruncate(2)), and a touch of what was cut off is SIGBUS.
//! So is the first touch of a page for which there is no room. A handler lays a private zero page there, marks the
//! mapping, and lets the touch go on. What the mapping says is worth nothing from then on: a lock on a private page
//! excludes nobody. Whoever relies on it asks for the mark after each look.
//!
//! [`enter`] puts a mapping into the table that the handler walks; [`survive`] installs the handler.

mod table;

use crate::range;
use std::{
    num::NonZeroUsize,
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
};

pub(crate) use table::leave;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

pub use system::survive;

/// How many mappings were cut off so far, in this process. It only grows.
static SHRINKS: AtomicU32 = AtomicU32::new(0);

/// How many mappings of this process a peer has cut off so far, or found no room for a page. It only grows, and changes
/// before anybody can read the zeros.
pub fn shrinks() -> &'static AtomicU32 {
    &SHRINKS
}

/// Whether a mapping was cut off. It is reset when another mapping takes its place in the table.
#[derive(Debug, Default)]
pub struct Mark(AtomicU32);

static NO_MARK: Mark = Mark::new();

impl Mark {
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The mark of the mapping that an address lies in, for as long as it is mapped; one that is never set where it
    /// lies in none that can be cut off.
    pub fn of(address: NonNull<u8>) -> &'static Self {
        table::mark_of(address.addr().get()).unwrap_or(&NO_MARK)
    }

    /// Whether the mapping was cut off.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Relaxed: whoever read the zeros of a page has the mark that was set before it was laid.
        self.0.load(Relaxed) != 0
    }

    /// Sets it, before the first private page is laid.
    fn set(&self) {
        if self.0.swap(1, SeqCst) == 0 {
            SHRINKS.fetch_add(1, SeqCst);
        }
    }

    fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Enters a mapping that a peer can cut off into the table: from now on the handler knows it, until its
/// [`AddressRange`](crate::AddressRange) is dropped.
///
/// # Safety
///
/// `start` is the start of a shared mapping, or a private one of a file, of `len` bytes. It is the caller's own, can
/// be read and written, and is unmapped by dropping an `AddressRange` over it, and by nothing else.
pub unsafe fn enter(start: NonNull<u8>, len: NonZeroUsize) {
    table::enter(start.addr(), len);
}

/// Lays a private zero page over the one that holds `address`; over the whole mapping where this process can make no
/// more mappings, as each page that is laid may be one. Safe in a signal handler.
///
/// # Safety
///
/// `address` lies in the mapping, which is one of those that were given to [`enter`], and is not unmapped meanwhile.
unsafe fn cover(address: usize, start: NonZeroUsize, len: NonZeroUsize, page: NonZeroUsize) -> bool {
    let at = NonZeroUsize::new(address & !(page.get() - 1)).unwrap_or(start);
    // SAFETY: a page of the mapping, by the caller's promise.
    let one = unsafe { range::overlay(at, page) };
    // SAFETY: the mapping, by the caller's promise.
    one.is_ok() || unsafe { range::overlay(start, len) }.is_ok()
}
