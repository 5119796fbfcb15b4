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
/// - every segment it hands out fulfils the contract of [`Segment`];
/// - a segment from [`create`](Self::create) is exactly as large as was asked, and all zero;
/// - a segment that somebody holds is destroyed by nothing but [`destroy`](Self::destroy), and one that was
///   not made through this library by nothing but that and [`DestroyUnheld`];
/// - after [`destroy`](Self::destroy) the holders keep their memory, and the key is free.
pub unsafe trait Backend: fmt::Debug + Send + Sync {
    /// What it hands out.
    type Segment: Segment;

    /// The backend's name, in lower case, as messages and listings show it.
    fn name(&self) -> &'static str;

    /// Creates a segment under `key` and attaches it.
    ///
    /// # Errors
    ///
    /// [`CreateError::Exists`] where the key is taken; nothing is left behind by any error.
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
    /// [`AttachError::NotFound`] where there is none.
    fn attach(&self, key: &Key) -> Result<Self::Segment, AttachError>;

    /// Tells of the segment that `key` names, without attaching it.
    ///
    /// # Errors
    ///
    /// [`AttachError::NotFound`] where there is none.
    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError>;

    /// Destroys the segment that `key` names now, whoever holds it; holders keep their memory.
    ///
    /// # Errors
    ///
    /// [`DestroyError::NotFound`] where there is none.
    fn destroy(&self, key: &Key) -> Result<(), DestroyError>;
}

/// One attachment of one segment. Dropping it detaches it.
///
/// # Safety
///
/// An implementation promises that
///
/// - [`as_ptr`](Self::as_ptr) and [`size`](Self::size) never change, and the bytes they span can be read
///   and written (see [`Access::ReadOnly`] for where a write goes) until the segment is detached or dropped,
///   unless another process that may write to the segment cuts it off under us, where the system has no means
///   against that (POSIX objects); reading what is gone then ends this process, or gives zeros where the program asked
///   for that, and does nothing worse;
/// - `as_ptr` is aligned to a page, or at least to 64 bytes;
/// - the range that [`let_go_in_place`](Self::let_go_in_place) returns keeps the same addresses readable and
///   writable until it is dropped.
pub unsafe trait Segment: fmt::Debug + Send + Sync + Sized {
    /// The bare addresses that stay when the segment is let go in place; they are freed when it is dropped.
    type Range: fmt::Debug + Send + Sync + 'static;

    /// The key that it was created or attached by.
    fn key(&self) -> &Key;

    /// Where it begins.
    fn as_ptr(&self) -> NonNull<u8>;

    /// Its size in bytes, exactly as its creator asked.
    fn size(&self) -> NonZeroUsize;

    /// Whether writes reach it.
    fn access(&self) -> Access;

    /// Whether the key still names this segment, and not none or another.
    fn is_current(&self) -> bool;

    /// Maps all of its pages now, so that no first touch of one has to wait for it. Pages that had no room yet take it.
    ///
    /// # Errors
    ///
    /// As the kernel says: `EFAULT` where there is no room for a page, `ENOMEM`, `ENOTSUP` where it cannot.
    fn populate(&self) -> Result<(), OsError>;

    /// Leaves the segment and frees its addresses. The last holder destroys it, unless it persists or was
    /// not created through this library.
    fn detach(self) -> Detached;

    /// Leaves the segment, but keeps its addresses: code that is still at work on them (a system call in
    /// flight) does no harm. On a kernel backend they are private memory from then on and read as zeros.
    ///
    /// Where others hold a segment that this process created, waits for them to leave, so as to be the last, for as
    /// long as `others_leave` says that one of them is about to. It is asked every fraction of a millisecond, and holds
    /// no lock meanwhile.
    fn let_go_in_place(self, others_leave: &dyn Fn() -> bool) -> (Detached, Self::Range);

    /// Copies bytes from `offset` on into `target` and returns how many: fewer than asked at the end of the
    /// segment. Another process may write at the same time, so the copy may be torn.
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

    /// Copies `source` into the segment from `offset` on and returns how many bytes went in: fewer than
    /// asked at its end. Another process may see the copy half done.
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

    /// The atomic integer at `offset`, or `None` where it does not fit or is not aligned.
    fn atomic<T: Atomic>(&self, offset: usize) -> Option<&T> {
        if offset.checked_add(size_of::<T>())? > self.size().get() {
            return None;
        }
        // SAFETY: offset is inside the segment.
        let cell = unsafe { self.as_ptr().add(offset) }.cast::<T>();
        // SAFETY: it fits, is aligned, lives as long as `self`, and every value is valid for an atomic integer,
        // whoever wrote it.
        if cell.is_aligned() { Some(unsafe { cell.as_ref() }) } else { None }
    }

    /// The segment's bytes as a slice.
    ///
    /// # Safety
    ///
    /// Nobody, in this process or any other, may write to them while the slice lives.
    unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: valid by the contract of this trait, and unchanging by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.as_ptr().as_ptr(), self.size().get()) }
    }

    /// The segment's bytes as a mutable slice.
    ///
    /// # Safety
    ///
    /// Nobody else, in this process or any other, may read or write them while the slice lives.
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

/// A backend that can tell which segments exist.
pub trait List: Backend {
    /// Every segment that has a key, of all users, in the order of their keys.
    ///
    /// # Errors
    ///
    /// Where the system does not let us look.
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError>;
}

/// A backend that can attach a segment so that no write of ours reaches it.
pub trait AttachReadOnly: Backend {
    /// Attaches the segment that `key` names with [`Access::ReadOnly`]; read permission is enough.
    ///
    /// # Errors
    ///
    /// As [`Backend::attach`].
    fn attach_read_only(&self, key: &Key) -> Result<Self::Segment, AttachError>;
}

/// A backend whose segments may be left behind by a crash, and freed later.
pub trait Sweep: Backend {
    /// Destroys the segments that this user created and nobody holds; returns how many.
    ///
    /// # Errors
    ///
    /// Where the library's own files cannot be used.
    fn sweep(&self) -> Result<usize, OsError>;
}

/// A backend that can ask whether anybody holds a segment, and destroy it in the same breath.
pub trait DestroyUnheld: Backend {
    /// Destroys the segment that `key` names now if nobody holds it, whoever created it and though it persists;
    /// tells what became of it.
    ///
    /// # Errors
    ///
    /// [`DestroyError::NotFound`] where there is none; `EPERM` or `EACCES` where this user may not ask.
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError>;
}

/// A segment that can be left as the process ends, by reference: other threads may still look at it.
pub trait LeaveAtEnd: Segment {
    /// Leaves as [`Segment::let_go_in_place`] does; the addresses stay to the end.
    ///
    /// # Safety
    ///
    /// The segment counts as detached afterwards: its owner must not use or drop it again.
    unsafe fn leave_at_exit(&self, others_leave: &dyn Fn() -> bool) -> Detached;

    /// The same from inside a signal handler, with system calls only: no allocation, and locks are tried until
    /// `deadline`, never waited for. What could not be settled is left to a sweep.
    ///
    /// # Safety
    ///
    /// The segment counts as detached afterwards: its owner must not use or drop it again.
    unsafe fn leave_in_signal(&self, deadline: Instant) -> Detached;
}
