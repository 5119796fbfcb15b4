//! Through `/proc/self/fd`.

use nix::errno::Errno;
use std::os::fd::RawFd;

pub(super) const OPEN_AGAIN_FAILED: &str = "It was about the live file, through /proc/self/fd.";

/// Another description of the same file.
pub(super) fn open_again(fd: RawFd) -> Result<RawFd, Errno> {
    let mut path = *b"/proc/self/fd/..........\0";
    let mut end = 14;
    let mut digits = [0; 10];
    let mut count = 0;
    let mut rest = fd.unsigned_abs();
    while count == 0 || rest > 0 {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    for digit in digits[..count].iter().rev() {
        path[end] = *digit;
        end += 1;
    }
    path[end] = 0;
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the path ends with a zero byte.
    Errno::result(unsafe { libc::open(path.as_ptr().cast(), flags) })
}

/// A descriptor on which every use of a lock is an error; -1 where there is none to be had.
pub(super) fn open_what_takes_no_locks() -> RawFd {
    // SAFETY: the path is a string. A descriptor that only names a folder takes no locks.
    unsafe { libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) }
}

/// Has `fd` stand for what `fresh` stands for. Changes nothing where `fresh` is -1.
pub(super) fn move_to(fresh: RawFd, fd: RawFd) {
    // SAFETY: both numbers are open, and `fd` stays owned by whom it belongs to.
    unsafe { libc::dup3(fresh, fd, libc::O_CLOEXEC) };
}
