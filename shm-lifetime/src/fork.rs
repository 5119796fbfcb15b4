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
    let watched = *WATCHED.get_or_init(|| {
        // SAFETY: the handler is safe to run in a child of a threaded process: it works on atomics, and closes files.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
    });
    // pthread_atfork(3): ENOMEM is possible. Then the process id tells as well, for a system call.
    if watched { FORKS.load(Relaxed) } else { process::id() }
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Relaxed);
    crate::lifetime::begin_anew();
    crate::shrink::begin_anew();
    crate::descriptor::close_in_child();
}
