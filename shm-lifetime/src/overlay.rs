//! What is laid over a mapping that is to go while its addresses stay.

use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags, mmap_anonymous},
};
use std::num::NonZeroUsize;

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
