//! fcntl(2), as nix has it.

use nix::fcntl::{FcntlArg, fcntl};
use std::os::fd::BorrowedFd;

pub(super) fn set(file: BorrowedFd<'_>, lock: &libc::flock) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(lock)).map(drop)
}

pub(super) fn get(file: BorrowedFd<'_>, lock: &mut libc::flock) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_GETLK(lock)).map(drop)
}
