//! What a fork's child must not take over: the parent's ids, and the description that holds their locks.

use crate::SyncError;
use nix::errno::Errno;
use shm_api::OsError;
use std::{
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

static ERA: AtomicU32 = AtomicU32::new(0);
static WATCH: Once = Once::new();

/// How many forks lie between this process and the one that loaded the library.
#[inline]
pub(super) fn era() -> u32 {
    ERA.load(Ordering::Relaxed)
}

/// From now on, a fork's child starts anew.
pub(super) fn watch() {
    WATCH.call_once(|| {
        // SAFETY: the handler makes only calls that are allowed between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    ERA.fetch_add(1, Ordering::Relaxed);
    super::RECENT.set(0);
    super::Live::all().for_each(super::Live::forget);
}

/// Puts a new description of the same file under the number `fd`, and so drops the child's share of the
/// parent's. Where that fails, `fd` is closed for good: the parent's death must not go unseen.
pub(super) fn reopen(fd: RawFd) {
    match open_again(fd) {
        Ok(fresh) => {
            // SAFETY: both numbers are open, and `fd` stays owned by whom it belongs to.
            unsafe { libc::dup3(fresh, fd, libc::O_CLOEXEC) };
            // SAFETY: `open_again` made it, and nobody else has it.
            unsafe { libc::close(fresh) };
        }
        Err(_) => {
            let path = c"/".as_ptr();
            // SAFETY: the path is a string. A folder takes no locks, so every use from now on is an error.
            let folder = unsafe { libc::open(path, libc::O_PATH | libc::O_CLOEXEC) };
            // SAFETY: as above; if the folder could not be opened either, this fails and changes nothing.
            unsafe { libc::dup3(folder, fd, libc::O_CLOEXEC) };
            // SAFETY: just opened, or -1, which is refused.
            unsafe { libc::close(folder) };
        }
    }
}

/// The same file with locks of its own.
pub(super) fn description_of_its_own(file: BorrowedFd<'_>) -> Result<OwnedFd, SyncError> {
    let fd = open_again(file.as_raw_fd()).map_err(|errno| {
        OsError::new("open", errno as i32).advise("It was about the live file, through /proc/self/fd.")
    })?;
    // SAFETY: just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

// Allocates nothing: it runs in a fork's child.
fn open_again(fd: RawFd) -> Result<RawFd, Errno> {
    let mut path = *b"/proc/self/fd/..........\0";
    let mut end = 14;
    let mut digits = [0; 10];
    let mut count = 0;
    let mut rest = fd.unsigned_abs();
    while count == 0 || rest > 0 {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    for digit in digits[..count].iter().rev() {
        path[end] = *digit;
        end += 1;
    }
    path[end] = 0;
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the path ends with a zero byte.
    Errno::result(unsafe { libc::open(path.as_ptr().cast(), flags) })
}
