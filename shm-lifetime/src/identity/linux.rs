//! statx(2), or where a sandbox forbids it, fstat(2), which does not know when a file was created.

use nix::errno::Errno;
use std::mem::MaybeUninit;

pub(super) fn of(fd: i32) -> Result<(u64, u64, u64), Errno> {
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    let mask = libc::STATX_INO | libc::STATX_BTIME;
    // SAFETY: the path is a string, and the structure lives through the call.
    match Errno::result(unsafe { libc::statx(fd, path, flags, mask, found.as_mut_ptr()) }) {
        Ok(_) => {
            // SAFETY: all zeros are a valid value, which the kernel has filled in.
            let found = unsafe { found.assume_init() };
            let device = libc::makedev(found.stx_dev_major, found.stx_dev_minor);
            let is_known = found.stx_mask & libc::STATX_BTIME != 0;
            let seconds = found.stx_btime.tv_sec.cast_unsigned().wrapping_mul(1_000_000_000);
            let created = seconds.wrapping_add(found.stx_btime.tv_nsec.into());
            Ok((device, found.stx_ino, if is_known { created } else { 0 }))
        }
        Err(Errno::EBADF) => Err(Errno::EBADF),
        Err(_) => {
            let mut found = MaybeUninit::<libc::stat>::uninit();
            // SAFETY: it writes the whole structure on success.
            Errno::result(unsafe { libc::fstat(fd, found.as_mut_ptr()) })?;
            // SAFETY: it succeeded.
            let found = unsafe { found.assume_init() };
            Ok((found.st_dev, found.st_ino, 0))
        }
    }
}
