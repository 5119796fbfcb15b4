//! A forked child must not take over the parent's ids, or the description that holds their locks.

use crate::SyncError;
use shm_api::OsError;
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between this process and the one that loaded the library.
#[inline]
pub(in crate::live) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// From now on, the child of a fork begins without the parent's ids.
pub(super) fn watch() -> Result<(), SyncError> {
    static WATCHED: OnceLock<i32> = OnceLock::new();
    // SAFETY: the handler makes only calls that are allowed between fork and exec.
    let errno = *WATCHED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(in_child)) });
    match errno {
        0 => Ok(()),
        errno => {
            let advice = "Without it, the child of a fork would use the ids of its parent.";
            Err(OsError::new("pthread_atfork", errno).advise(advice).into())
        }
    }
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    super::RECENT.set(0);
    super::Live::all().for_each(super::Live::forget);
}
