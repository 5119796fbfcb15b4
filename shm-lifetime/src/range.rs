//! Addresses that outlive the segment that was mapped there.

use crate::{overlay::overlay, shrink};
use nix::{errno::Errno, sys::mman::munmap};
use std::{mem::ManuallyDrop, num::NonZeroUsize, ptr::NonNull};

/// A range of mapped addresses, unmapped when it is dropped.
#[derive(Debug)]
pub struct AddressRange {
    start: NonNull<u8>,
    len: NonZeroUsize,
}

// SAFETY: it is only the right to unmap; nothing about that is tied to a thread.
unsafe impl Send for AddressRange {}
// SAFETY: a shared reference to it can do nothing.
unsafe impl Sync for AddressRange {}

impl AddressRange {
    /// Takes charge of a mapping.
    ///
    /// # Safety
    ///
    /// `start` is the start of a mapping of `len` bytes that is the caller's own, and nobody else unmaps it.
    pub const unsafe fn new(start: NonNull<u8>, len: NonZeroUsize) -> Self {
        Self { start, len }
    }

    /// Gives the mapping back to the caller, who then has to unmap it.
    pub fn into_start(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }

    /// Maps private zero pages over the range. The old mapping ends, and the addresses stay mapped. Safe in a signal
    /// handler.
    ///
    /// # Errors
    ///
    /// Those of mmap(2). Then the old mapping stays as it was.
    pub fn overlay(&self) -> Result<(), Errno> {
        // SAFETY: the range is our own mapping, by the contract of `new`.
        unsafe { overlay(self.start.addr(), self.len) }
    }
}

impl Drop for AddressRange {
    fn drop(&mut self) {
        shrink::leave(self.start.addr());
        // SAFETY: our own mapping, by the contract of `new`; nobody uses it after the range is dropped.
        let unmapped = unsafe { munmap(self.start.cast(), self.len.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
