//! Waiting on the cell and on the word that cancels, with one system call.

use super::{Ended, Way};
use crate::futex;
use shm_api::OsError;
use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// `futex_waitv` with two entries.
#[derive(Debug)]
pub struct Waitv;

#[repr(C)]
struct Entry {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// `struct __kernel_timespec`, which has 64 bits on every processor.
#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

impl Time {
    /// `None` for a time that the kernel has no number for.
    fn new(time: Duration) -> Option<Self> {
        Some(Self { seconds: time.as_secs().try_into().ok()?, nanoseconds: time.subsec_nanos().into() })
    }
}

const SIZE_U32: u32 = 2;
const PRIVATE: u32 = 128;

impl Entry {
    fn new(cell: &AtomicU32, value: u32, flags: u32) -> Self {
        Self { value: value.into(), address: cell.as_ptr().addr() as u64, flags, reserved: 0 }
    }
}

// A system call takes an absolute time of this clock.
fn now() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to our stack.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec as u64, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The index of an entry that was woken, or the error.
fn wait(entries: &[Entry; 2], deadline: Option<Instant>) -> Result<usize, i32> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let until = left.and_then(|left| Time::new(now().checked_add(left)?));
    let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the entries and the time stand on our stack, and their words stay for the call.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex_waitv, entries.as_ptr(), 2u32, 0u32, until, libc::CLOCK_MONOTONIC)
    };
    usize::try_from(woken).map_err(|_| futex::errno())
}

impl Way for Waitv {
    const NAME: &'static str = "a thread for each wait, futex_waitv";

    fn check() -> Result<(), OsError> {
        let word = AtomicU32::new(0);
        let entries = [Entry::new(&word, 1, SIZE_U32), Entry::new(&word, 1, SIZE_U32)];
        match wait(&entries, None) {
            Ok(_) | Err(libc::EAGAIN) => Ok(()),
            Err(errno) => Err(OsError::new("futex_waitv", errno).advise("It needs Linux 5.16.")),
        }
    }

    fn wait(cell: &AtomicU32, expected: u32, deadline: Option<Instant>, cancelled: &AtomicU32) -> Ended {
        // If both were woken, the kernel reports the last entry: so a wake-up is never taken for a cancellation.
        let entries = [Entry::new(cancelled, 0, SIZE_U32 | PRIVATE), Entry::new(cell, expected, SIZE_U32)];
        loop {
            return match wait(&entries, deadline) {
                Ok(0) => Ended::Cancelled,
                Ok(_) => Ended::Woken,
                Err(libc::EAGAIN) if cancelled.load(Ordering::Acquire) != 0 => Ended::Cancelled,
                Err(libc::EAGAIN) => Ended::NotEqual,
                Err(libc::ETIMEDOUT) => Ended::TimedOut,
                Err(libc::EINTR) => continue,
                Err(errno) => {
                    Ended::Failed(OsError::new("futex_waitv", errno).advise("Is the memory still mapped?"))
                }
            };
        }
    }

    fn cancel(cancelled: &AtomicU32) {
        cancelled.store(1, Ordering::Release);
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: a wake reads nothing but the address.
        unsafe { libc::syscall(libc::SYS_futex, cancelled.as_ptr(), operation, i32::MAX) };
    }
}
