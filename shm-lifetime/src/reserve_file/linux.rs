//! fallocate(2).

use libc::off_t;
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    unistd::ftruncate,
};
use std::os::fd::BorrowedFd;

pub(super) fn reserve(file: BorrowedFd<'_>, start: u64, len: u64) -> Result<(), (&'static str, Errno)> {
    let too_large = |_| ("fallocate", Errno::EFBIG);
    let end = off_t::try_from(start + len).map_err(too_large)?;
    let (start, len) = (start as off_t, len as off_t); // each is less than the end
    loop {
        match fallocate(file, FallocateFlags::empty(), start, len) {
            Err(Errno::EINTR) => {}
            // A file system without fallocate is on a disk; a hole there is filled or fails like a write.
            Err(Errno::EOPNOTSUPP) => {
                return ftruncate(file, end).map_err(|errno| ("ftruncate", errno));
            }
            done => return done.map_err(|errno| ("fallocate", errno)),
        }
    }
}
