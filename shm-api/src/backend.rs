//! The contract itself.

use crate::{
    Access, AttachError, CreateError, CreateOptions, DestroyError, Detached, Key, OsError, SegmentInfo,
    racy_copy,
};
use std::{
    fmt,
    num::NonZeroUsize,
    ptr::NonNull,
    sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64},
    time::Instant,
};

/// A way to make, find and destroy segments.
///
/// # Safety
///
/// An implementation promises that
///
/// - every segment that it returns fulfils the contract of [`Segment`];
/// - a segment from [`create`](Self::create) has exactly the size that was asked for, and is all zero;
/// - while a process holds a segment, only [`destroy`](Self::destroy) destroys it; a segment that was not made by this
///   library is destroyed only by [`destroy`](Self::destroy) and by [`DestroyUnheld`];
/// - after [`destroy`](Self::destroy) the holders keep their memory, and the key is free.
pub unsafe trait Backend: fmt::Debug + Send + Sync {
    /// The type of its segments.
    type Segment: Segment;

    /// The backend's name, in lower case, as messages and listings show it.
    fn name(&self) -> &'static str;

    /// Creates a segment under `key` and attaches it.
    ///
    /// # Errors
    ///
    /// [`CreateError::Exists`] if the key is taken. After an error, nothing is left behind.
    fn create(&self, key: &Key, options: &CreateOptions) -> Result<Self::Segment, CreateError>;

    /// Creates a segment under a random integer key that was free.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), except that the key is never taken.
    fn create_anywhere(&self, options: &CreateOptions) -> Result<Self::Segment, CreateError> {
        loop {
            let key = Key::random()?;
            match self.create(&key, options) {
                Err(CreateError::Exists { .. }) => {}
                created => return created,
            }
        }
    }

    /// Attaches the segment that `key` names.
    ///
    /// # Errors
    ///
    /// [`AttachError::NotFound`] if there is none.
    fn attach(&self, key: &Key) -> Result<Self::Segment, AttachError>;

    /// Describes the segment that `key` names, without attaching it.
    ///
    /// # Errors
    ///
    /// [`AttachError::NotFound`] if there is none.
    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError>;

    /// Destroys the segment that `key` names now, even if processes hold it; holders keep their memory.
    ///
    /// # Errors
    ///
    /// [`DestroyError::NotFound`] if there is none.
    fn destroy(&self, key: &Key) -> Result<(), DestroyError>;
}

/// One attachment of one segment. Dropping it detaches it.
///
/// # Safety
///
/// An implementation promises that
///
/// - [`as_ptr`](Self::as_ptr) and [`size`](Self::size) never change, and the bytes they span can be read and written
///   until the segment is detached or dropped (see [`Access::ReadOnly`] for where a write goes). There is one
///   exception: another process that may write to a POSIX object can make it smaller. Reading the missing part then
///   ends this process, or gives zeros if the program asked for that, and does nothing worse;
/// - `as_ptr` is aligned to a page, or at least to 64 bytes;
/// - the range that [`let_go_in_place`](Self::let_go_in_place) returns keeps the same addresses readable and
///   writable until it is dropped.
pub unsafe trait Segment: fmt::Debug + Send + Sync + Sized {
    /// The addresses that stay mapped after [`let_go_in_place`](Self::let_go_in_place). Dropping it frees them.
    type Range: fmt::Debug + Send + Sync + 'static;

    /// The key by which it was created or attached.
    fn key(&self) -> &Key;

    /// The address of its first byte.
    fn as_ptr(&self) -> NonNull<u8>;

    /// Its size in bytes, exactly as its creator asked.
    fn size(&self) -> NonZeroUsize;

    /// Whether writes reach the segment.
    fn access(&self) -> Access;

    /// Whether the key still names this segment, and not none or another.
    fn is_current(&self) -> bool;

    /// Maps all of its pages now, so that the first touch of a page is fast. Pages without room take it now.
    ///
    /// # Errors
    ///
    /// Those of the kernel: `EFAULT` if there is no room for a page, `ENOMEM`, `ENOTSUP` if the kernel cannot do it.
    fn populate(&self) -> Result<(), OsError>;

    /// Leaves the segment and frees its addresses. The last holder destroys the segment, unless it persists or was
    /// not created by this library.
    fn detach(self) -> Detached;

    /// Leaves the segment, but keeps its addresses mapped, so that code that still uses them (a system call in
    /// flight) does no harm. On a kernel backend they are private memory from then on, and read as zeros.
    ///
    /// If other processes hold a segment that this process created, it waits for them to leave, so that this process is
    /// the last holder. It waits as long as `others_leave` returns `true`: one of them is about to leave. It calls
    /// `others_leave` several times in each millisecond, and holds no lock meanwhile.
    fn let_go_in_place(self, others_leave: &dyn Fn() -> bool) -> (Detached, Self::Range);

    /// Copies bytes from `offset` on into `target`, and returns how many: fewer than asked if the segment ends
    /// before. Another process may write at the same time, so the copy may mix old and new bytes.
    fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        let count = target.len().min(self.size().get().saturating_sub(offset));
        if count > 0 {
            // SAFETY: offset < size, so this stays inside the segment.
            let source = unsafe { self.as_ptr().add(offset) };
            // SAFETY: `count` bytes fit on both sides; no reference of ours spans a segment's bytes.
            unsafe { racy_copy(source, NonNull::from(target).cast(), count) };
        }
        count
    }

    /// Copies `source` into the segment from `offset` on, and returns how many bytes it copied: fewer than
    /// asked if the segment ends before. Another process may see a part of the copy.
    fn write(&self, offset: usize, source: &[u8]) -> usize {
        let count = source.len().min(self.size().get().saturating_sub(offset));
        if count > 0 {
            // SAFETY: offset < size, so this stays inside the segment.
            let target = unsafe { self.as_ptr().add(offset) };
            // SAFETY: as above.
            unsafe { racy_copy(NonNull::from(source).cast(), target, count) };
        }
        count
    }

    /// The atomic integer at `offset`; `None` if it does not fit or is not aligned.
    fn atomic<T: Atomic>(&self, offset: usize) -> Option<&T> {
        if offset.checked_add(size_of::<T>())? > self.size().get() {
            return None;
        }
        // SAFETY: offset is inside the segment.
        let cell = unsafe { self.as_ptr().add(offset) }.cast::<T>();
        // SAFETY: it fits, is aligned, lives as long as `self`, and every value is valid for an atomic integer, even
        // if another process wrote it.
        if cell.is_aligned() { Some(unsafe { cell.as_ref() }) } else { None }
    }

    /// The segment's bytes as a slice.
    ///
    /// # Safety
    ///
    /// No code, in this process or any other, may write to the bytes while the slice lives.
    unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: valid by the contract of this trait, and unchanging by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.as_ptr().as_ptr(), self.size().get()) }
    }

    /// The segment's bytes as a mutable slice.
    ///
    /// # Safety
    ///
    /// No other code, in this process or any other, may read or write the bytes while the slice lives.
    unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: valid by the contract of this trait, and ours alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr().as_ptr(), self.size().get()) }
    }
}

/// An atomic integer that may lie in a segment.
///
/// # Safety
///
/// Every bit pattern is a valid value, and every access is atomic.
pub unsafe trait Atomic {}

macro_rules! atomic {
    ($($type:ty)*) => {$(
        // SAFETY: the standard library gives both promises for its atomic integers.
        unsafe impl Atomic for $type {}
    )*};
}
atomic!(AtomicI8 AtomicI16 AtomicI32 AtomicI64 AtomicU8 AtomicU16 AtomicU32 AtomicU64);

/// A backend that can list the existing segments.
pub trait List: Backend {
    /// Every segment that has a key, of all users, in the order of their keys.
    ///
    /// # Errors
    ///
    /// If the system does not allow it.
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError>;
}

/// A backend that can attach a segment so that no write of this process reaches it.
pub trait AttachReadOnly: Backend {
    /// Attaches the segment that `key` names with [`Access::ReadOnly`]; read permission is enough.
    ///
    /// # Errors
    ///
    /// As [`Backend::attach`].
    fn attach_read_only(&self, key: &Key) -> Result<Self::Segment, AttachError>;
}

/// A backend that can read a segment without being one of its holders.
pub trait Peek: Backend {
    /// Copies bytes from `offset` on into `target`, and returns how many: fewer than asked if the segment ends before.
    /// Read permission is enough. The reader does not count as a holder: a segment whose last holder leaves goes, and a
    /// segment that nobody holds stays. Another process may write at the same time, so the copy may mix old and new
    /// bytes.
    ///
    /// # Errors
    ///
    /// As [`Backend::attach`].
    fn peek(&self, key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError>;
}

/// A backend whose segments may be left behind by a crash, and freed later.
pub trait Sweep: Backend {
    /// Destroys the segments that this user created and no process holds; returns how many.
    ///
    /// # Errors
    ///
    /// If the library's own files cannot be used.
    fn sweep(&self) -> Result<usize, OsError>;
}

/// A backend that can check whether a process holds a segment, and destroy it in one atomic step.
pub trait DestroyUnheld: Backend {
    /// Destroys the segment that `key` names, if no process holds it, even if it persists or another program created
    /// it. Returns what became of it.
    ///
    /// # Errors
    ///
    /// [`DestroyError::NotFound`] if there is none; `EPERM` or `EACCES` if this user may not ask.
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError>;
}

/// A segment that can be left at the end of the process, by reference, while other threads may still use it.
pub trait LeaveAtEnd: Segment {
    /// Leaves as [`Segment::let_go_in_place`] does. The addresses stay mapped until the process ends.
    ///
    /// # Safety
    ///
    /// The segment counts as detached afterwards: its owner must not use or drop it again.
    unsafe fn leave_at_exit(&self, others_leave: &dyn Fn() -> bool) -> Detached;

    /// As [`leave_at_exit`](Self::leave_at_exit), from inside a signal handler. It only makes system calls and
    /// allocates nothing. It tries to take a lock until `deadline`, without sleeping. It leaves a segment that it could
    /// not settle to a sweep.
    ///
    /// # Safety
    ///
    /// The segment counts as detached afterwards: its owner must not use or drop it again.
    unsafe fn leave_in_signal(&self, deadline: Instant) -> Detached;
}
