//! The same commands as on Linux; nix has them for Linux only.

use nix::errno::Errno;
use std::{
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

pub(super) fn set(file: BorrowedFd<'_>, lock: &libc::flock) -> nix::Result<()> {
    // SAFETY: F_OFD_SETLK reads one flock.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, ptr::from_ref(lock)) }).map(drop)
}

pub(super) fn get(file: BorrowedFd<'_>, lock: &mut libc::flock) -> nix::Result<()> {
    // SAFETY: F_OFD_GETLK reads one flock and writes it.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, ptr::from_mut(lock)) }).map(drop)
}
