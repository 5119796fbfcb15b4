//! fcntl(2).

use nix::errno::Errno;
use std::{
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

pub(super) type Lock = libc::flock;

pub(super) fn set(file: BorrowedFd<'_>, lock: &Lock) -> nix::Result<()> {
    // SAFETY: F_OFD_SETLK reads one flock.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, ptr::from_ref(lock)) }).map(drop)
}

pub(super) fn get(file: BorrowedFd<'_>, lock: &mut Lock) -> nix::Result<()> {
    // SAFETY: F_OFD_GETLK reads one flock and writes it.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, ptr::from_mut(lock)) }).map(drop)
}
