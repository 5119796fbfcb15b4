//! What a fork's child must not take over: the parent's ids, and the description that holds their locks.

use crate::SyncError;
use shm_api::OsError;
use std::{
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

// What both systems have here allocates nothing: it runs in a fork's child.
cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

static GENERATION: AtomicU32 = AtomicU32::new(0);
static WATCH: Once = Once::new();

/// How many forks lie between this process and the one that loaded the library.
#[inline]
pub(super) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// From now on, a fork's child starts anew.
pub(super) fn watch() {
    WATCH.call_once(|| {
        // SAFETY: the handler makes only calls that are allowed between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    super::RECENT.set(0);
    super::Live::all().for_each(super::Live::forget);
}

/// Puts a new description of the same file under the number `fd`, and so drops the child's share of the
/// parent's. Where that fails, `fd` is closed for good: the parent's death must not go unseen.
pub(super) fn reopen(fd: RawFd) {
    let fresh = system::open_again(fd).unwrap_or_else(|_| system::open_what_takes_no_locks());
    system::move_to(fresh, fd);
    // SAFETY: just opened, and nobody else has it; or -1, which is refused.
    unsafe { libc::close(fresh) };
}

/// The same file with locks of its own.
pub(super) fn description_of_its_own(file: BorrowedFd<'_>) -> Result<OwnedFd, SyncError> {
    let fd = system::open_again(file.as_raw_fd())
        .map_err(|errno| OsError::new("open", errno as i32).advise(system::OPEN_AGAIN_FAILED))?;
    // SAFETY: just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
