//! `os_sync_wait_on_address` and its sibling calls, always with the SHARED flag. macOS has them from 14.4 on, so they
//! are looked up when the program runs: a program that links them would not start on an older system.
//!
//! They report less than a futex: not whether the word had another value, and not how many sleepers were woken.

use super::{Outcome, errno};
use crate::protocol::memory::{AtomicU32, Ordering};
use shm_api::OsError;
use std::{
    ffi::{CStr, c_int, c_void},
    mem,
    sync::OnceLock,
    time::Duration,
};

type Wait = unsafe extern "C" fn(*mut c_void, u64, usize, u32) -> c_int;
type WaitForTime = unsafe extern "C" fn(*mut c_void, u64, usize, u32, libc::os_clockid_t, u64) -> c_int;
type Wake = unsafe extern "C" fn(*mut c_void, usize, u32) -> c_int;

struct Calls {
    wait: Wait,
    wait_for_time: WaitForTime,
    wake_any: Wake,
    wake_all: Wake,
}

const SIZE: usize = size_of::<u32>();

/// The longest timeout of one call, so that no number is too large for the kernel's clock.
const LONGEST: Duration = Duration::from_secs(3600);

/// Up to this number, sleepers are woken one by one, so that they are counted. More are woken by one call.
const COUNTED: u32 = 1024;

fn calls() -> Result<&'static Calls, OsError> {
    static CALLS: OnceLock<Option<Calls>> = OnceLock::new();
    CALLS.get_or_init(find).as_ref().ok_or_else(|| {
        OsError::new("os_sync_wait_on_address", libc::ENOSYS)
            .advise("Waiting across processes needs macOS 14.4.")
    })
}

fn find() -> Option<Calls> {
    let wait = symbol(c"os_sync_wait_on_address")?;
    let wait_for_time = symbol(c"os_sync_wait_on_address_with_timeout")?;
    let wake_any = symbol(c"os_sync_wake_by_address_any")?;
    let wake_all = symbol(c"os_sync_wake_by_address_all")?;
    Some(Calls {
        // SAFETY: the function of that name has this type (os/os_sync_wait_on_address.h).
        wait: unsafe { mem::transmute::<*mut c_void, Wait>(wait) },
        // SAFETY: as above.
        wait_for_time: unsafe { mem::transmute::<*mut c_void, WaitForTime>(wait_for_time) },
        // SAFETY: as above.
        wake_any: unsafe { mem::transmute::<*mut c_void, Wake>(wake_any) },
        // SAFETY: as above.
        wake_all: unsafe { mem::transmute::<*mut c_void, Wake>(wake_all) },
    })
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name is a string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Whether there is a way to sleep.
pub(crate) fn check() -> Result<(), OsError> {
    calls().map(drop)
}

/// Sleeps while `cell` holds `expected`. `None`: a signal came, or nothing that we need to know of.
pub(crate) fn wait(
    cell: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
) -> Result<Option<Outcome>, OsError> {
    let calls = calls()?;
    // The kernel does not distinguish this from a wake-up. If the word changes after this check, it counts as a
    // wake-up.
    if cell.load(Ordering::SeqCst) != expected {
        return Ok(Some(Outcome::NotEqual));
    }
    if timeout == Some(Duration::ZERO) {
        return Ok(Some(Outcome::TimedOut)); // the call refuses a timeout of 0
    }
    let (word, value, shared) = (cell.as_ptr().cast(), expected.into(), libc::OS_SYNC_WAIT_ON_ADDRESS_SHARED);
    let answer = match timeout {
        // SAFETY: the word lives as long as the reference.
        None => unsafe { (calls.wait)(word, value, SIZE, shared) },
        Some(timeout) => {
            let clock = libc::OS_CLOCK_MACH_ABSOLUTE_TIME;
            let nanoseconds = u64::try_from(timeout.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
            // SAFETY: the word lives as long as the reference.
            unsafe { (calls.wait_for_time)(word, value, SIZE, shared, clock, nanoseconds) }
        }
    };
    if answer >= 0 {
        return Ok(Some(Outcome::Woken));
    }
    match errno() {
        libc::ETIMEDOUT if timeout.is_some_and(|timeout| timeout > LONGEST) => Ok(None),
        libc::ETIMEDOUT => Ok(Some(Outcome::TimedOut)),
        // EFAULT: the word's page was not in memory (the call does not page it in). The next check of the word does.
        libc::EINTR | libc::EFAULT => Ok(None),
        errno => Err(OsError::new("os_sync_wait_on_address", errno)
            .advise("Is the memory still mapped, and writable?")),
    }
}

/// Wakes at most `count` sleepers on `cell`; returns how many. Above a thousand, the number is a guess.
pub(crate) fn wake(cell: &AtomicU32, count: u32) -> usize {
    // Without the calls nobody sleeps.
    let Ok(calls) = calls() else { return 0 };
    let (word, shared) = (cell.as_ptr().cast(), libc::OS_SYNC_WAKE_BY_ADDRESS_SHARED);
    let mut woken = 0;
    while woken < count.min(COUNTED) {
        // SAFETY: a wake reads nothing but the address.
        let answer = unsafe { (calls.wake_any)(word, SIZE, shared) };
        if answer < 0 {
            match errno() {
                libc::EINTR => continue,
                _ => return woken as usize, // ENOENT: nobody sleeps there
            }
        }
        woken += 1;
    }
    if count > COUNTED {
        // SAFETY: as above.
        unsafe { (calls.wake_all)(word, SIZE, shared) };
    }
    woken as usize
}
