//! A piece of a segment, checked once so that everything above it need not check again.

use crate::SyncError;
use crate::protocol::cell::{AtomicU32, Words};
use shm_api::{Access, Segment};
use std::{marker::PhantomData, ptr::NonNull};

/// Memory that other processes may share: where a structure is placed.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    start: NonNull<u8>,
    size: usize,
    access: Access,
    memory: PhantomData<&'a AtomicU32>,
}

// SAFETY: its memory is reached by atomic operations and by copies through raw pointers, and stays for 'a.
unsafe impl Send for Region<'_> {}
// SAFETY: as above.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// All of a segment.
    pub fn of(segment: &'a impl Segment) -> Self {
        Self {
            start: segment.as_ptr(),
            size: segment.size().get(),
            access: segment.access(),
            memory: PhantomData,
        }
    }

    /// Memory that was mapped by other means.
    ///
    /// # Safety
    ///
    /// For all of `'a`, the `size` bytes from `start` on can be read, and written if `access` says so, and
    /// this process reaches them only through atomic operations and raw pointers meanwhile.
    pub const unsafe fn from_raw(start: NonNull<u8>, size: usize, access: Access) -> Self {
        Self { start, size, access, memory: PhantomData }
    }

    /// `size` bytes of it, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`SyncError::TooSmall`] where it ends before them.
    pub fn at(&self, offset: usize, size: usize) -> Result<Self, SyncError> {
        let mut part = self.from(offset, size)?;
        part.size = size;
        Ok(part)
    }

    /// What begins at `offset`, `at_least` bytes of it or more.
    pub(crate) fn from(&self, offset: usize, at_least: usize) -> Result<Self, SyncError> {
        if offset.checked_add(at_least).is_none_or(|end| end > self.size) {
            return Err(SyncError::TooSmall { offset, needed: at_least, size: self.size });
        }
        // SAFETY: `offset` is inside the region, or at its end.
        let start = unsafe { self.start.add(offset) };
        Ok(Self { start, size: self.size - offset, ..*self })
    }

    /// How many bytes it has.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether writes reach it.
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Where it begins.
    pub const fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn writable(&self) -> Result<(), SyncError> {
        match self.access {
            Access::ReadOnly => Err(SyncError::ReadOnly),
            _ => Ok(()),
        }
    }

    pub(crate) fn aligned(&self, what: &'static str, align: usize) -> Result<(), SyncError> {
        if self.start.addr().get().is_multiple_of(align) {
            Ok(())
        } else {
            Err(SyncError::Misaligned { what, align })
        }
    }

    /// The 32-bit word at `offset`, for [`wait`](crate::wait) and [`notify`](crate::notify).
    ///
    /// # Errors
    ///
    /// Where it does not fit, is not aligned, or the region is read-only.
    pub fn cell(&self, offset: usize) -> Result<&'a std::sync::atomic::AtomicU32, SyncError> {
        self.writable()?;
        let word = self.from(offset, size_of::<AtomicU32>())?;
        word.aligned("32-bit word", align_of::<AtomicU32>())?;
        // SAFETY: it fits, is aligned, and lives for 'a; every value is valid, whoever wrote it.
        Ok(unsafe { word.start.cast().as_ref() })
    }

    /// The address of a byte that the caller knows to be inside.
    #[inline]
    pub(crate) fn byte(&self, offset: u32) -> NonNull<u8> {
        debug_assert!((offset as usize) <= self.size, "checked when the structure was opened");
        // SAFETY: whoever opened the structure checked that all its offsets are inside.
        unsafe { self.start.add(offset as usize) }
    }
}

impl<'a> Words<'a> for Region<'a> {
    #[inline]
    fn word(self, offset: u32) -> &'a AtomicU32 {
        debug_assert!(offset as usize + size_of::<u32>() <= self.size, "checked when it was opened");
        let word = self.byte(offset).cast();
        // SAFETY: by the contract of `Words` it is inside and aligned; every value is valid.
        unsafe { word.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_outside_the_memory_is_an_error() {
        let memory = [0u64; 8];
        // SAFETY: it is ours, and lives longer than the region.
        let region = unsafe { Region::from_raw(NonNull::from(&memory).cast(), 64, Access::ReadWrite) };
        assert!(region.at(0, 64).is_ok());
        assert!(region.at(64, 0).is_ok());
        for (offset, size) in [(0, 65), (1, 64), (65, 0), (usize::MAX, 2), (2, usize::MAX)] {
            assert!(matches!(region.at(offset, size), Err(SyncError::TooSmall { .. })), "{offset} {size}");
        }
        assert!(matches!(region.cell(62), Err(SyncError::TooSmall { .. })));
        assert!(matches!(region.cell(2), Err(SyncError::Misaligned { .. })));
    }

    #[test]
    fn read_only_memory_has_no_cells() {
        let memory = [0u64; 8];
        // SAFETY: it is ours, and lives longer than the region.
        let region = unsafe { Region::from_raw(NonNull::from(&memory).cast(), 64, Access::ReadOnly) };
        assert_eq!(region.cell(0).unwrap_err(), SyncError::ReadOnly);
    }
}
