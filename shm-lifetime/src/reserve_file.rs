//! Room in a file, before it is mapped: a touch of a hole on a full file system is SIGBUS.

use nix::errno::Errno;
use std::os::fd::BorrowedFd;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// Has the file hold `len` bytes from `start` on, its end included; what it holds already stays.
///
/// # Errors
///
/// `ENOSPC`, `EDQUOT` or `EFBIG` if there is no room, with the call that failed.
pub fn reserve_file(file: BorrowedFd<'_>, start: u64, len: u64) -> Result<(), (&'static str, Errno)> {
    system::reserve(file, start, len)
}
