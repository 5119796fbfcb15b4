//! fstat(2), which knows when a file was created.

use nix::errno::Errno;
use std::mem::MaybeUninit;

pub(super) fn of(fd: i32) -> Result<(u64, u64, u64), Errno> {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: it writes the whole structure on success.
    Errno::result(unsafe { libc::fstat(fd, found.as_mut_ptr()) })?;
    // SAFETY: it succeeded.
    let found = unsafe { found.assume_init() };
    let seconds = found.st_birthtime.cast_unsigned().wrapping_mul(1_000_000_000);
    let created = seconds.wrapping_add(found.st_birthtime_nsec.cast_unsigned());
    Ok((found.st_dev.cast_unsigned().into(), found.st_ino, created))
}
