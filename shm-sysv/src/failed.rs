//! The error for a call that failed: its errno, the key, and what to do.

use crate::limits;
use nix::errno::Errno;
use shm_api::{AttachError, Key, OsError};
use std::num::NonZeroUsize;

/// While a segment was made.
pub(crate) fn refused(errno: Errno, key: &Key, size: NonZeroUsize) -> OsError {
    failed("shmget", errno, key).advise(limits::advise_to_create(errno, size))
}

/// While it was looked up.
pub(crate) fn find_failed(errno: Errno, key: &Key) -> AttachError {
    match errno {
        // The second where the kernel has no System V shared memory at all.
        Errno::ENOENT | Errno::ENOSYS => AttachError::NotFound { key: key.clone() },
        errno => failed("shmget", errno, key).into(),
    }
}

/// While it was attached.
pub(crate) fn attach_failed(errno: Errno, key: &Key) -> OsError {
    failed("shmat", errno, key).advise(limits::advise_to_attach(errno))
}

/// Any call, without advice.
pub(crate) fn failed(call: &'static str, errno: Errno, key: &Key) -> OsError {
    OsError::new(call, errno as i32).on(key)
}
