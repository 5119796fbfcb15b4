//! The futex system calls, always without the PRIVATE flag.

use super::{Outcome, errno};
use crate::protocol::memory::AtomicU32;
use shm_api::OsError;
use std::{ptr, time::Duration};

/// Whether there is a way to sleep: always.
pub(crate) const fn check() -> Result<(), OsError> {
    Ok(())
}

/// Sleeps while `cell` holds `expected`. `None`: a signal came, or nothing that we need to know of.
pub(crate) fn wait(
    cell: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
) -> Result<Option<Outcome>, OsError> {
    let timeout = timeout.and_then(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word lives as long as the reference, and the time stands on our stack, or is null.
    let answer =
        unsafe { libc::syscall(libc::SYS_futex, cell.as_ptr(), libc::FUTEX_WAIT, expected, timeout) };
    if answer == 0 {
        return Ok(Some(Outcome::Woken));
    }
    match errno() {
        libc::EAGAIN => Ok(Some(Outcome::NotEqual)),
        libc::ETIMEDOUT => Ok(Some(Outcome::TimedOut)),
        libc::EINTR => Ok(None),
        errno => Err(OsError::new("futex", errno).advise("Is the memory still mapped, and writable?")),
    }
}

/// Wakes at most `count` sleepers on `cell`, and returns how many.
pub(crate) fn wake(cell: &AtomicU32, count: u32) -> usize {
    // The kernel takes 0 for 1.
    if count == 0 {
        return 0;
    }
    let count = count.min(i32::MAX.cast_unsigned());
    // SAFETY: the word lives as long as the reference; a wake reads nothing but its address.
    let woken = unsafe { libc::syscall(libc::SYS_futex, cell.as_ptr(), libc::FUTEX_WAKE, count) };
    usize::try_from(woken).unwrap_or(0)
}

/// `None` for a time that the kernel has no number for.
fn timespec(time: Duration) -> Option<libc::timespec> {
    Some(libc::timespec {
        tv_sec: time.as_secs().try_into().ok()?,
        tv_nsec: time.subsec_nanos() as libc::c_long,
    })
}
