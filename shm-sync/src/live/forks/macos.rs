//! Through the file's path: opening `/dev/fd` here is a dup(2), which shares the description.

use nix::errno::Errno;
use std::{mem::MaybeUninit, os::fd::RawFd};

pub(super) const OPEN_AGAIN_FAILED: &str =
    "It was about the live file, through its path: was it removed or replaced?";

/// Another description of the same file; `ESTALE` where its path leads to another one by now.
pub(super) fn open_again(fd: RawFd) -> Result<RawFd, Errno> {
    // fcntl(2), F_GETPATH: "The argument must be a buffer of size MAXPATHLEN or greater."
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is that large.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_GETPATH, path.as_mut_ptr()) })?;
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    // SAFETY: the kernel ended the path with a zero byte.
    let fresh = Errno::result(unsafe { libc::open(path.as_ptr().cast(), flags) })?;
    if identity(fd).is_some_and(|known| identity(fresh) == Some(known)) {
        return Ok(fresh);
    }
    // SAFETY: just opened, and nobody else has it.
    unsafe { libc::close(fresh) };
    Err(Errno::ESTALE)
}

/// Device and inode.
fn identity(fd: RawFd) -> Option<(libc::dev_t, libc::ino_t)> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: it writes the whole structure on success.
    let result = unsafe { libc::fstat(fd, stat.as_mut_ptr()) };
    // SAFETY: written, as it succeeded.
    let stat = (result == 0).then(|| unsafe { stat.assume_init() })?;
    Some((stat.st_dev, stat.st_ino))
}

/// A descriptor on which every use of a lock is an error; -1 where there is none to be had.
pub(super) fn open_what_takes_no_locks() -> RawFd {
    // SAFETY: it takes nothing. What is no file takes no locks (`EBADF`).
    unsafe { libc::kqueue() }
}

/// Has `fd` stand for what `fresh` stands for. Changes nothing where `fresh` is -1.
pub(super) fn move_to(fresh: RawFd, fd: RawFd) {
    // SAFETY: both numbers are open, and `fd` stays owned by whom it belongs to.
    if unsafe { libc::dup2(fresh, fd) } == fd {
        // There is no dup3. Only a child of a fork does this, in its one thread, so that no exec comes between.
        // SAFETY: F_SETFD takes an integer.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
