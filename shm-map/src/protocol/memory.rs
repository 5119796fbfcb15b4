//! What an algorithm is given to work on: atomic integers that it reaches by their offsets, and copies that may race.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// The memory of a map, which several processes share. Offsets are in bytes from its start, in bounds, and multiples of
/// the size of what is reached: the code that makes an algorithm checks that once, for all offsets that it can reach.
pub(crate) trait Memory<'a>: Copy {
    /// Eight bytes.
    fn long(self, offset: usize) -> &'a AtomicU64;

    /// Four bytes.
    fn word(self, offset: usize) -> &'a AtomicU32;

    /// One byte.
    fn byte(self, offset: usize) -> &'a AtomicU8;

    /// Copies from `offset` on. Others may write meanwhile: the copy may be torn.
    fn read(self, offset: usize, target: &mut [u8]);

    /// Copies to `offset` and on. Others may read meanwhile.
    fn write(self, offset: usize, source: &[u8]);

    /// Begins to fetch the cache line at `offset`, which is needed soon. It changes nothing.
    #[inline]
    fn prefetch(self, _offset: usize) {}

    /// Copies `count` bytes, a multiple of eight, within the memory; the two places do not overlap.
    fn copy(self, from: usize, to: usize, count: usize);
}
