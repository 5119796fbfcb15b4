//! Noticing that we are the child of a fork, without a system call each time.

use std::{
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// A number that a child of a fork does not share with its parent.
pub(crate) fn generation() -> u32 {
    static WATCHED: OnceLock<bool> = OnceLock::new();
    // SAFETY: `count` adds to an atomic.
    let watched = *WATCHED.get_or_init(|| unsafe { in_child(count) });
    // Without a handler the process id tells as well, for a system call.
    if watched { FORKS.load(Relaxed) } else { process::id() }
}

extern "C" fn count() {
    FORKS.fetch_add(1, Relaxed);
}

/// Has the child of each fork from now on call `handler` before anything else; false where there is no memory to
/// note it (pthread_atfork(3): ENOMEM).
///
/// # Safety
///
/// `handler` is safe to run in the child of a threaded process: it works on atomics, and makes calls that
/// signal-safety(7) lists.
pub(crate) unsafe fn in_child(handler: extern "C" fn()) -> bool {
    // SAFETY: by the caller's promise.
    unsafe { libc::pthread_atfork(None, None, Some(handler)) == 0 }
}
