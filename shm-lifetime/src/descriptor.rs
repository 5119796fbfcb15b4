//! A descriptor of a file of ours that we lock.
//!
//! A program may close descriptors that it did not open (close_range(2), a daemon's clean-up), and its next file then
//! gets our number. And the child of a fork shares our descriptions, with the locks on them. So a number is used, and
//! closed, only while it stands for our file, and only in the process that opened it.

use crate::{Identity, fork};
use shm_api::OsError;
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicPtr,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

/// A process seldom works for many users. Descriptors for which there is no place here are shared with a child.
const MOST: usize = 64;

/// The descriptors that a forked child closes, because their locks would outlast the parent.
static OPEN: [AtomicPtr<Locked>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];

#[derive(Debug)]
struct Locked {
    fd: RawFd,
    identity: Identity,
    generation: u32,
}

impl Locked {
    fn is_open(&self) -> bool {
        Identity::of_number(self.fd) == Ok(self.identity)
    }

    fn close(&self) {
        if self.is_open() {
            // SAFETY: it is the file that we opened under this number, and nobody uses it any more.
            unsafe { libc::close(self.fd) };
        }
    }
}

/// An open file that is closed when this is dropped, and in a fork's child at once.
#[derive(Debug)]
pub(crate) struct Descriptor(Box<Locked>);

impl Descriptor {
    pub(crate) fn new(file: OwnedFd) -> Result<Self, OsError> {
        static WATCHED: OnceLock<bool> = OnceLock::new();
        // SAFETY: `close_in_child` works on atomics, and makes the calls fstat and close.
        WATCHED.get_or_init(|| unsafe { fork::in_child(close_in_child) });
        let identity = Identity::of(&file).map_err(|errno| OsError::new("fstat", errno as i32))?;
        let locked = Locked { fd: file.into_raw_fd(), identity, generation: fork::generation() };
        let locked = Box::new(locked);
        let ours = ptr::from_ref(&*locked).cast_mut();
        let _ = OPEN.iter().find(|place| {
            let free = ptr::null_mut();
            place.compare_exchange(free, ours, SeqCst, Relaxed).is_ok()
        });
        Ok(Self(locked))
    }

    /// Whether it still stands for the file.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open as long as `self`, unless somebody closed it under us: then the calls on it fail, and
        // `is_open` tells.
        unsafe { BorrowedFd::borrow_raw(self.0.fd.as_raw_fd()) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let ours = ptr::from_ref(&*self.0).cast_mut();
        for place in &OPEN {
            let _ = place.compare_exchange(ours, ptr::null_mut(), SeqCst, Relaxed);
        }
        if self.0.generation == fork::generation() {
            self.0.close();
        }
    }
}

/// In a forked child: closes the parent's descriptors, because their locks belong to the parent.
extern "C" fn close_in_child() {
    for place in &OPEN {
        let locked = place.swap(ptr::null_mut(), SeqCst);
        // SAFETY: it is null, or of a descriptor that was not dropped before the fork, and here it is not freed: who
        // was about to do so is a thread of the parent.
        if let Some(locked) = unsafe { locked.as_ref() } {
            locked.close();
        }
    }
}
