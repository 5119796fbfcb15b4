//! statx(2), which tells when a file was made.

use nix::errno::Errno;
use std::{
    ffi::{CStr, c_int},
    mem::MaybeUninit,
};

/// What the kernel tells of a file: of what a path leads to from a folder, or, with `AT_EMPTY_PATH`, of an open one.
/// Safe in a signal handler and in a fork's child.
///
/// # Errors
///
/// As statx(2) says; `ENOSYS` before Linux 4.11, `EPERM` from a seccomp filter that is older than the call.
pub fn statx(folder: c_int, path: &CStr, flags: c_int) -> Result<libc::statx, Errno> {
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: the path ends with a NUL, and there is room for the answer.
    Errno::result(unsafe { libc::statx(folder, path.as_ptr(), flags, mask, stat.as_mut_ptr()) })?;
    // SAFETY: all zeros are a valid value, which the kernel has filled in.
    Ok(unsafe { stat.assume_init() })
}

/// The device that a file lies on, as stat(2) has it.
pub const fn device(stat: &libc::statx) -> u64 {
    libc::makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

/// When a file was made, in nanoseconds since 1970; 0 where its file system does not tell.
pub const fn born(stat: &libc::statx) -> u64 {
    if stat.stx_mask & libc::STATX_BTIME == 0 {
        return 0;
    }
    let seconds = stat.stx_btime.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000);
    seconds.wrapping_add(stat.stx_btime.tv_nsec as u64)
}
