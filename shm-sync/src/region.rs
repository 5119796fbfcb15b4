//! A part of a segment. It is checked once, so that the code that uses it need not check again.

use crate::SyncError;
use crate::futex;
use crate::protocol::memory::{AtomicU32, Memory};
use shm_api::{Access, Segment};
use shm_lifetime::shrink::Mark;
use std::{marker::PhantomData, ptr::NonNull};

/// Memory that other processes may share: where a structure is placed.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    start: NonNull<u8>,
    size: usize,
    access: Access,
    /// How many 32-bit words it has: 0 if it is not aligned for them.
    words: u32,
    mark: &'static Mark,
    memory: PhantomData<&'a AtomicU32>,
}

// SAFETY: its memory is reached by atomic operations and by copies through raw pointers, and stays for 'a.
unsafe impl Send for Region<'_> {}
// SAFETY: as above.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// Returns all of a segment.
    pub fn of(segment: &'a impl Segment) -> Self {
        let start = segment.as_ptr();
        Self::new(start, segment.size().get(), segment.access(), Mark::of(start))
    }

    /// Returns memory that was mapped by other means.
    ///
    /// # Safety
    ///
    /// For all of `'a`, the `size` bytes from `start` on can be read, and written if `access` says so, and
    /// this process reaches them only through atomic operations and raw pointers meanwhile.
    pub unsafe fn from_raw(start: NonNull<u8>, size: usize, access: Access) -> Self {
        Self::new(start, size, access, Mark::of(start))
    }

    fn new(start: NonNull<u8>, size: usize, access: Access, mark: &'static Mark) -> Self {
        let count = if start.cast::<AtomicU32>().is_aligned() { size / size_of::<AtomicU32>() } else { 0 };
        let words = count.min(1 << 30) as u32; // an offset has 32 bits
        Self { start, size, access, words, mark, memory: PhantomData }
    }

    /// Returns `size` bytes of it, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`SyncError::TooSmall`] if the region ends earlier.
    pub fn at(&self, offset: usize, size: usize) -> Result<Self, SyncError> {
        let part = self.from(offset, size)?;
        Ok(Self::new(part.start, size, self.access, self.mark))
    }

    /// Returns the rest of it from `offset` on: `at_least` bytes or more.
    pub(crate) fn from(&self, offset: usize, at_least: usize) -> Result<Self, SyncError> {
        if offset.checked_add(at_least).is_none_or(|end| end > self.size) {
            return Err(SyncError::TooSmall { offset, needed: at_least, size: self.size });
        }
        // SAFETY: `offset` is inside the region, or at its end.
        let start = unsafe { self.start.add(offset) };
        Ok(Self::new(start, self.size - offset, self.access, self.mark))
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

    /// Returns the result of an operation, unless a part of the segment was cut off before its end. The missing part is
    /// private pages: a lock word there excludes nobody, and no process wrote what is read there.
    #[inline]
    pub(crate) fn sound<T>(&self, value: T) -> Result<T, SyncError> {
        if self.is_shrunk() { Err(SyncError::Shrunk) } else { Ok(value) }
    }

    /// The same for an operation that may have failed. If a part was cut off, that is the error to report.
    #[inline]
    pub(crate) fn sound_result<T, E: Into<SyncError>>(&self, result: Result<T, E>) -> Result<T, SyncError> {
        if self.is_shrunk() { Err(SyncError::Shrunk) } else { result.map_err(Into::into) }
    }

    /// Whether a part of the segment was cut off, or had no room for a page, and this process has touched it since. Then
    /// what was read before may be zeros that nobody wrote.
    #[inline]
    pub fn is_shrunk(&self) -> bool {
        self.mark.is_set()
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
    /// If it does not fit, is not aligned, or the region is read-only.
    pub fn cell(&self, offset: usize) -> Result<&'a std::sync::atomic::AtomicU32, SyncError> {
        self.writable()?;
        let word = self.from(offset, size_of::<AtomicU32>())?;
        word.aligned("32-bit word", align_of::<AtomicU32>())?;
        // SAFETY: it fits, is aligned, and lives for 'a; every value is valid, even if another process wrote it.
        Ok(unsafe { word.start.cast().as_ref() })
    }

    /// The address of a byte inside, or of its end.
    #[inline]
    pub(crate) fn byte(&self, offset: u32) -> NonNull<u8> {
        if offset as usize > self.size {
            no_place(offset);
        }
        // SAFETY: inside, or at the end.
        unsafe { self.start.add(offset as usize) }
    }
}

impl<'a> Memory<'a> for Region<'a> {
    #[inline]
    fn word(self, offset: u32) -> &'a AtomicU32 {
        // Rotated, one that is no multiple of four is more than any count: one comparison for both.
        if offset.rotate_right(2) >= self.words {
            no_place(offset);
        }
        // SAFETY: inside, as there are so many words.
        let word = unsafe { self.start.add(offset as usize) }.cast();
        // SAFETY: it is aligned, as there are any words, and lives for 'a; every value is valid, even if another
        // process wrote it.
        unsafe { word.as_ref() }
    }

    fn wake(word: &AtomicU32, count: u32) -> usize {
        futex::wake(word, count)
    }
}

/// Opening a structure checks first that all of it is inside, so this is never reached.
#[cold]
#[inline(never)]
fn no_place(offset: u32) -> ! {
    panic!("offset {offset} is no place in this structure: this is a bug in shm-sync, please report it")
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
        assert_eq!(crate::live_file_at(region, 56), Ok(0));
        assert!(matches!(crate::live_file_at(region, 60), Err(SyncError::TooSmall { .. })));
        assert!(matches!(region.cell(62), Err(SyncError::TooSmall { .. })));
        assert!(matches!(region.cell(2), Err(SyncError::Misaligned { .. })));
    }

    #[test]
    fn no_word_and_no_byte_is_reached_outside_the_memory() {
        let memory = [0u64; 8];
        // SAFETY: it is ours, and lives longer than the region.
        let region = unsafe { Region::from_raw(NonNull::from(&memory).cast(), 64, Access::ReadWrite) };
        assert_eq!(std::ptr::from_ref(region.word(60)).addr(), region.byte(60).addr().get());
        let refuses = |reach: &dyn Fn()| {
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(reach)).is_err());
        };
        for offset in [61, 62, 64, 68, u32::MAX, u32::MAX - 3] {
            refuses(&|| _ = region.word(offset));
        }
        for offset in [65, u32::MAX] {
            refuses(&|| _ = region.byte(offset));
        }
        let shorter = region.at(8, 7).unwrap();
        shorter.word(0);
        refuses(&|| _ = shorter.word(4));
        refuses(&|| _ = region.from(2, 0).unwrap().word(0));
    }

    #[test]
    fn read_only_memory_has_no_cells() {
        let memory = [0u64; 8];
        // SAFETY: it is ours, and lives longer than the region.
        let region = unsafe { Region::from_raw(NonNull::from(&memory).cast(), 64, Access::ReadOnly) };
        assert_eq!(region.cell(0).unwrap_err(), SyncError::ReadOnly);
    }
}
