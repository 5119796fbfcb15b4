//! Addresses that outlive the segment that was mapped there.

use crate::shrink;
use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap},
};
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

    /// Gives the mapping back to the caller's charge.
    pub fn into_start(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }

    /// Lays private zero pages over the range: what was mapped there is let go, the addresses stay. Safe in
    /// a signal handler.
    ///
    /// # Errors
    ///
    /// As mmap(2) fails; the old mapping then stays as it was.
    pub fn overlay(&self) -> Result<(), Errno> {
        // SAFETY: the range is our own mapping, by the contract of `new`.
        unsafe { overlay(self.start.addr(), self.len) }
    }
}

/// Lays private zero pages over `len` bytes from `start` on. Safe in a signal handler.
///
/// # Safety
///
/// They are whole pages of a mapping of the caller's own.
pub(crate) unsafe fn overlay(start: NonZeroUsize, len: NonZeroUsize) -> Result<(), Errno> {
    // mmap(2), MAP_FIXED: "If the memory region specified by addr and length overlaps pages of any
    // existing mapping(s), then the overlapped part of the existing mapping(s) will be discarded", in one
    // step, so no other thread can find a hole there.
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED | MapFlags::MAP_NORESERVE;
    // SAFETY: by the caller's promise.
    unsafe { mmap_anonymous(Some(start), len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) }?;
    Ok(())
}

impl Drop for AddressRange {
    fn drop(&mut self) {
        shrink::leave(self.start.addr());
        // SAFETY: our own mapping, by the contract of `new`; nobody uses it after the range is dropped.
        let unmapped = unsafe { munmap(self.start.cast(), self.len.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
