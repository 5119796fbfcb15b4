//! The memory of a map in a segment. Every offset is checked, so that a mistake in this crate reaches nothing outside
//! it.

use crate::protocol::memory::{AtomicU8, AtomicU32, AtomicU64, Memory};
use shm_api::racy_copy;
use shm_sync::Region;
use std::{marker::PhantomData, ptr::NonNull};

/// Memory that other processes share, aligned to eight bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    start: NonNull<u8>,
    size: usize,
    memory: PhantomData<Region<'a>>,
}

// SAFETY: its memory is reached by atomic operations and by copies through raw pointers, and stays for 'a.
unsafe impl Send for Place<'_> {}
// SAFETY: as above.
unsafe impl Sync for Place<'_> {}

impl<'a> Place<'a> {
    /// All of a region; `None` if it is not aligned.
    pub(crate) fn of(region: Region<'a>) -> Option<Self> {
        let start = region.as_ptr();
        start.cast::<AtomicU64>().is_aligned().then_some(Self {
            start,
            size: region.size(),
            memory: PhantomData,
        })
    }

    /// The address of `count` bytes.
    #[inline]
    pub(crate) fn at(self, offset: usize, count: usize) -> NonNull<u8> {
        if offset > self.size || count > self.size - offset {
            no_place(offset);
        }
        // SAFETY: inside the region, or at its end.
        unsafe { self.start.add(offset) }
    }

    #[inline]
    fn atomic<T>(self, offset: usize) -> &'a T {
        let place = self.at(offset, size_of::<T>()).cast::<T>();
        if !place.is_aligned() {
            no_place(offset);
        }
        // SAFETY: `T` is an atomic integer, of which every value is valid; it fits, is aligned, and lives for 'a.
        unsafe { place.as_ref() }
    }
}

impl<'a> Memory<'a> for Place<'a> {
    #[inline]
    fn long(self, offset: usize) -> &'a AtomicU64 {
        self.atomic(offset)
    }

    #[inline]
    fn word(self, offset: usize) -> &'a AtomicU32 {
        self.atomic(offset)
    }

    #[inline]
    fn byte(self, offset: usize) -> &'a AtomicU8 {
        self.atomic(offset)
    }

    #[inline]
    fn read(self, offset: usize, target: &mut [u8]) {
        let source = self.at(offset, target.len());
        // SAFETY: as many bytes are there on both sides, and no reference spans a segment's bytes.
        unsafe { racy_copy(source, NonNull::from(&mut *target).cast(), target.len()) };
    }

    #[inline]
    fn write(self, offset: usize, source: &[u8]) {
        let target = self.at(offset, source.len());
        // SAFETY: as above.
        unsafe { racy_copy(NonNull::from(source).cast(), target, source.len()) };
    }

    #[inline]
    fn prefetch(self, offset: usize) {
        let place = self.at(offset, 1);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has the instruction, and it changes nothing that a program can see.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.as_ptr().cast());
        };
        #[cfg(not(target_arch = "x86_64"))]
        let _ = place;
    }

    #[inline]
    fn copy(self, from: usize, to: usize, count: usize) {
        let (source, target) = (self.at(from, count), self.at(to, count));
        // SAFETY: as above.
        unsafe { racy_copy(source, target, count) };
    }
}

/// Opening a map checks that all of it is inside, so this is never reached.
#[cold]
#[inline(never)]
fn no_place(offset: usize) -> ! {
    panic!("offset {offset} is no place in this map: this is a bug in shm-map, please report it")
}
