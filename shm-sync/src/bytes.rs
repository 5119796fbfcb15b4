//! The bytes of a message, copied out of shared memory and into it.

use shm_api::racy_copy;
use std::ptr::NonNull;

/// A message where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    start: NonNull<u8>,
    len: usize,
}

impl Bytes {
    /// # Safety
    ///
    /// `len` bytes from `start` on are shared memory that stays mapped as long as this is used.
    #[inline]
    pub(crate) const unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        Self { start, len }
    }

    /// Copies bytes from `offset` on into `target`; returns how many: fewer at the end.
    #[inline]
    pub(crate) fn read(self, offset: usize, target: &mut [u8]) -> usize {
        let count = target.len().min(self.len.saturating_sub(offset));
        if count > 0 {
            // SAFETY: `offset` is inside the message.
            let source = unsafe { self.start.add(offset) };
            // SAFETY: `count` bytes fit on both sides; a `&mut` of ours never overlaps shared memory.
            unsafe { racy_copy(source, NonNull::from(target).cast(), count) };
        }
        count
    }

    /// Copies all of them to the end of `into`.
    #[inline]
    pub(crate) fn append_to(self, into: &mut Vec<u8>) {
        into.reserve(self.len);
        let spare = NonNull::from(into.spare_capacity_mut()).cast();
        // SAFETY: `reserve` made room for as many bytes; a vector never overlaps shared memory.
        unsafe { racy_copy(self.start, spare, self.len) };
        // SAFETY: they are initialized now.
        unsafe { into.set_len(into.len() + self.len) };
    }

    /// Copies `bytes` into the message, from `offset` on; what does not fit is left out. Returns how many fit.
    #[inline]
    pub(crate) fn write(self, offset: usize, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.len.saturating_sub(offset));
        if count > 0 {
            // SAFETY: `offset` is inside the message.
            let target = unsafe { self.start.add(offset) };
            // SAFETY: `count` bytes fit on both sides; a `&` of ours never overlaps shared memory.
            unsafe { racy_copy(NonNull::from(bytes).cast(), target, count) };
        }
        count
    }
}
