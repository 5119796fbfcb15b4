//! Through the file's path: opening `/dev/fd` here is a dup(2), which shares the description.

use nix::errno::Errno;
use std::{fs::Metadata, ops::RangeInclusive, os::fd::RawFd};

/// Another description of the file that is under the same path now.
pub(super) fn open_again(fd: RawFd) -> Result<RawFd, Errno> {
    // fcntl(2), F_GETPATH: "The argument must be a buffer of size MAXPATHLEN or greater."
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is that large.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETPATH, path.as_mut_ptr()) })?;
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    // SAFETY: the kernel ended the path with a zero byte.
    Errno::result(unsafe { libc::open(path.as_ptr().cast(), flags) })
}

/// Nothing here: a mapping refers to the file and not to the description, so who closes all descriptors of a process
/// ends its locks.
#[derive(Debug)]
pub(super) struct Kept(());

pub(super) fn keep(_fd: RawFd) -> Result<Kept, Errno> {
    Ok(Kept(()))
}

impl Kept {
    pub(super) fn end(&self) {}
}

/// Unknown here.
pub(super) fn lockers(_file: &Metadata) -> Vec<(RangeInclusive<u32>, u32)> {
    Vec::new()
}

/// Unknown here.
pub(super) fn is_ours_alone(_address: usize) -> bool {
    false
}
