//! fallocate(2).

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    unistd::ftruncate,
};
use std::os::fd::BorrowedFd;

pub(super) fn reserve(file: BorrowedFd<'_>, start: i64, len: i64) -> Result<(), (&'static str, Errno)> {
    loop {
        match fallocate(file, FallocateFlags::empty(), start, len) {
            Err(Errno::EINTR) => {}
            // A file system without fallocate is on a disk; a hole there is filled or fails like a write.
            Err(Errno::EOPNOTSUPP) => {
                return ftruncate(file, start + len).map_err(|errno| ("ftruncate", errno));
            }
            done => return done.map_err(|errno| ("fallocate", errno)),
        }
    }
}
