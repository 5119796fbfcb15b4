//! The error for a call that failed: its errno, the key, and what to do.

use crate::{mapping, object};
use nix::errno::Errno;
use shm_api::{Key, OsError};
use std::{io, num::NonZeroUsize};

/// While an object was made.
pub(crate) fn refused(
    &object::Failed { call, errno }: &object::Failed,
    key: &Key,
    size: NonZeroUsize,
) -> OsError {
    let advice = match errno {
        Errno::EMFILE | Errno::ENFILE => {
            "Too many open files (`ulimit -n`): close some, or raise the limit.".into()
        }
        Errno::ENOMEM => format!("Asked for {size} bytes: the system does not have that much memory left."),
        _ => object::advise_to_make(errno, size),
    };
    failed(call, errno, key).advise(advice)
}

/// While it was looked up or opened.
pub(crate) fn open_failed(errno: Errno, key: &Key) -> OsError {
    let advice = match errno {
        Errno::EACCES => "Its mode does not let this user open it.",
        Errno::EPERM => {
            "The file of that name is not a shared memory object: remove it, or choose another name."
        }
        Errno::EMFILE | Errno::ENFILE => "Too many open files (`ulimit -n`): close some, or raise the limit.",
        _ => "",
    };
    failed("shm_open", errno, key).advise(advice)
}

/// While it was mapped.
pub(crate) fn map_failed(error: &io::Error, key: &Key) -> OsError {
    let errno = error.raw_os_error().map_or(Errno::ENOMEM, Errno::from_raw);
    failed("mmap", errno, key).advise(mapping::advise(errno))
}

/// Any call, without advice.
pub(crate) fn failed(call: &'static str, errno: Errno, key: &Key) -> OsError {
    OsError::new(call, errno as i32).on(key)
}
