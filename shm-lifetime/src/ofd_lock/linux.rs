//! fcntl(2), with offsets of 64 bits on every processor: where pointers have 32 bits, the C library's `fcntl` takes a
//! structure that has no room for them.

use nix::errno::Errno;
use std::{
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

pub(super) type Lock = libc::flock64;

#[cfg(target_pointer_width = "32")]
const FCNTL: libc::c_long = libc::SYS_fcntl64;
#[cfg(not(target_pointer_width = "32"))]
const FCNTL: libc::c_long = libc::SYS_fcntl;

pub(super) fn set(file: BorrowedFd<'_>, lock: &Lock) -> nix::Result<()> {
    let lock = ptr::from_ref(lock);
    // SAFETY: F_OFD_SETLK reads one flock, which the kernel has with 64-bit offsets in both calls.
    Errno::result(unsafe { libc::syscall(FCNTL, file.as_raw_fd(), libc::F_OFD_SETLK, lock) }).map(drop)
}

pub(super) fn get(file: BorrowedFd<'_>, lock: &mut Lock) -> nix::Result<()> {
    let lock = ptr::from_mut(lock);
    // SAFETY: F_OFD_GETLK reads one flock and writes it; the kernel has it with 64-bit offsets in both calls.
    Errno::result(unsafe { libc::syscall(FCNTL, file.as_raw_fd(), libc::F_OFD_GETLK, lock) }).map(drop)
}
