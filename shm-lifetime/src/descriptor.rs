//! A descriptor of a file of ours that we lock.
//!
//! A program may close descriptors that it did not open (close_range(2), a daemon's clean-up), and its next file then
//! gets our number. And the child of a fork shares our descriptions, with the locks on them. So a number is used, and
//! closed, only while it stands for our file, and only in the process that opened it.

use crate::{Identity, fork, wide};
use nix::sys::stat::fstat;
use shm_api::OsError;
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicPtr, AtomicU32,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

/// A process seldom works for many users. Descriptors for which there is no place here are shared with a child.
const MOST: usize = 64;

/// The descriptors that a forked child closes, because their locks would outlast the parent.
static OPEN: [AtomicPtr<Locked>; MOST] = [const { AtomicPtr::new(ptr::null_mut()) }; MOST];

/// An open file description, as this process finds it under a number.
#[derive(Debug)]
pub(crate) struct Numbered {
    fd: RawFd,
    identity: Identity,
    /// Where reads and writes would go on, which tells descriptions of one file apart. Nothing is read or written there.
    offset: i64,
}

impl Numbered {
    pub(crate) fn new(file: OwnedFd) -> Result<Self, OsError> {
        static OFFSETS: AtomicU32 = AtomicU32::new(1);
        let identity = Identity::of(&file).map_err(|errno| OsError::new("fstat", errno as i32))?;
        // Less than 2^31: folders of some file systems have no offsets beyond.
        let offset = i64::from(OFFSETS.fetch_add(1, Relaxed) & i32::MAX as u32);
        Ok(Self { offset: seek(file.as_raw_fd(), offset, libc::SEEK_SET), fd: file.into_raw_fd(), identity })
    }

    /// Whether the number still stands for it. Safe in a signal handler and in the child of a fork.
    pub(crate) fn is_open(&self) -> bool {
        Identity::of_number(self.fd) == Ok(self.identity) && seek(self.fd, 0, libc::SEEK_CUR) == self.offset
    }

    /// Closes it, if it is open. Nobody uses it afterwards.
    pub(crate) fn close(&self) {
        if self.is_open() {
            // SAFETY: it is the file that we opened under this number, and nobody uses it any more.
            unsafe { libc::close(self.fd) };
        }
    }
}

impl AsFd for Numbered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open as long as `self`, unless somebody closed it under us: then the calls on it fail, and
        // `is_open` tells.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

/// The new offset; -1 where there is none.
fn seek(fd: RawFd, offset: i64, from: libc::c_int) -> i64 {
    // SAFETY: lseek takes integers.
    wide(unsafe { libc::lseek(fd, offset as libc::off_t, from) })
}

#[derive(Debug)]
struct Locked {
    number: Numbered,
    generation: u32,
}

/// An open file that is closed when this is dropped, and in a fork's child at once.
#[derive(Debug)]
pub(crate) struct Descriptor(Box<Locked>);

impl Descriptor {
    pub(crate) fn new(file: OwnedFd) -> Result<Self, OsError> {
        static WATCHED: OnceLock<bool> = OnceLock::new();
        // SAFETY: `close_in_child` works on atomics, and makes the calls fstat and close.
        WATCHED.get_or_init(|| unsafe { fork::in_child(close_in_child) });
        let locked = Box::new(Locked { number: Numbered::new(file)?, generation: fork::generation() });
        let ours = ptr::from_ref(&*locked).cast_mut();
        let _ = OPEN.iter().find(|place| {
            let free = ptr::null_mut();
            place.compare_exchange(free, ours, SeqCst, Relaxed).is_ok()
        });
        Ok(Self(locked))
    }

    /// Whether it still stands for the file.
    pub(crate) fn is_open(&self) -> bool {
        self.0.number.is_open()
    }

    /// Whether somebody removed the file, or the program closed it. Then no other process comes to it.
    pub(crate) fn is_lost(&self) -> bool {
        !self.is_open() || fstat(self).is_ok_and(|stat| stat.st_nlink == 0)
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.number.as_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let ours = ptr::from_ref(&*self.0).cast_mut();
        for place in &OPEN {
            let _ = place.compare_exchange(ours, ptr::null_mut(), SeqCst, Relaxed);
        }
        if self.0.generation == fork::generation() {
            self.0.number.close();
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
            locked.number.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    /// As if the program had closed the first, and then this library had opened its file again.
    #[test]
    fn a_number_that_stands_for_another_description_of_the_same_file_is_not_closed() {
        let path = std::env::temp_dir().join(format!("shm-descriptor-{}", std::process::id()));
        let open = || File::create(&path).unwrap();
        let (first, second) =
            (Descriptor::new(open().into()).unwrap(), Descriptor::new(open().into()).unwrap());
        fs::remove_file(&path).unwrap();
        let number = first.0.number.fd;
        assert!(first.is_open() && second.is_open());
        // SAFETY: both are files of this test.
        assert_eq!(unsafe { libc::dup2(second.0.number.fd, number) }, number);
        assert!(!first.is_open() && second.is_open());
        drop(first);
        // SAFETY: nobody else has closed it.
        assert_eq!(unsafe { libc::close(number) }, 0);
    }
}
