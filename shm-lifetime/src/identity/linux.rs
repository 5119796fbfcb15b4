//! statx(2), or where a sandbox forbids it, fstat(2), which does not know when a file was created.

use crate::{
    statx::{born, device, statx},
    wide,
};
use nix::errno::Errno;
use std::mem::MaybeUninit;

pub(super) fn of(fd: i32) -> Result<(u64, u64, u64), Errno> {
    match statx(fd, c"", libc::AT_EMPTY_PATH) {
        Ok(found) => Ok((device(&found), found.stx_ino, born(&found))),
        Err(Errno::EBADF) => Err(Errno::EBADF),
        Err(_) => {
            let mut found = MaybeUninit::<libc::stat>::uninit();
            // SAFETY: it writes the whole structure on success.
            Errno::result(unsafe { libc::fstat(fd, found.as_mut_ptr()) })?;
            // SAFETY: it succeeded.
            let found = unsafe { found.assume_init() };
            Ok((found.st_dev, wide(found.st_ino), 0))
        }
    }
}
