//! Windows lets a thread sleep only on a word of its own process (`WaitOnAddress`). So here a word has two named
//! semaphores as long as somebody sleeps on it: one counts the sleepers, the other counts their wake-ups.
//!
//! A process that wakes others takes them off the first count, and then adds as many wake-ups. A sleeper whose time is
//! up takes itself off. If it cannot, somebody has just taken it off, and its wake-up will follow. The kernel removes
//! both semaphores with the last sleeper, however it ends. A sleeper that was killed stays counted as long as others
//! sleep there. Then each time that they are woken there is one wake-up too many, which ends a later sleep too early.
//!
//! The name of a word is its place in its section, which the backend has entered. A word elsewhere has a name for this
//! process alone, and a sleeper checks it every millisecond, because other processes may change it.

use super::Outcome;
use crate::protocol::memory::{AtomicU32, Ordering, fence};
use shm_api::OsError;
use shm_lifetime::named::{Access, last_error, owned, wide};
use shm_lifetime::sections::{Place, place_of};
use std::{
    num::NonZeroUsize,
    os::windows::io::{AsRawHandle, OwnedHandle},
    time::{Duration, Instant},
};
use windows_sys::Win32::{
    Foundation::{HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT},
    System::{
        Memory::{MEM_PRIVATE, MEMORY_BASIC_INFORMATION, VirtualQuery},
        Threading::{
            CreateSemaphoreExW, OpenSemaphoreW, ReleaseSemaphore, SEMAPHORE_MODIFY_STATE,
            SYNCHRONIZATION_SYNCHRONIZE, WaitForSingleObject,
        },
    },
};

/// Everybody may use them (`SYNCHRONIZE` and `SEMAPHORE_MODIFY_STATE`).
const ACCESS: &str = "D:P(A;;0x100002;;;WD)";
const RIGHTS: u32 = SYNCHRONIZATION_SYNCHRONIZE | SEMAPHORE_MODIFY_STATE;

/// How often a sleeper also checks its word: a process that wakes it may be killed before it has done so.
const LOOK: Duration = Duration::from_millis(100);
/// The same if other processes cannot wake it.
const LOOK_ALONE: Duration = Duration::from_millis(1);

/// How long a sleeper waits for a wake-up that somebody has begun.
const ON_ITS_WAY: Duration = Duration::from_millis(10);

/// Whether there is a way to sleep: always.
pub(crate) const fn check() -> Result<(), OsError> {
    Ok(())
}

/// Sleeps while `cell` holds `expected`.
pub(crate) fn wait(
    cell: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
) -> Result<Option<Outcome>, OsError> {
    let is_changed = || cell.load(Ordering::SeqCst) != expected;
    if is_changed() {
        return Ok(Some(Outcome::NotEqual));
    }
    if timeout == Some(Duration::ZERO) {
        return Ok(Some(Outcome::TimedOut));
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let sleeper = Sleeper::on(cell)?;
    let mut outcome = Outcome::NotEqual;
    while !is_changed() {
        outcome = Outcome::Woken; // by a change that is seen without a wake-up, unless time is up
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            outcome = Outcome::TimedOut;
            break;
        }
        let look = if sleeper.is_alone { LOOK_ALONE } else { LOOK };
        if take(&sleeper.semaphores.wake_ups, left.map_or(look, |left| left.min(look)))? {
            sleeper.wake();
            return Ok(Some(Outcome::Woken));
        }
    }
    Ok(Some(if sleeper.leave() { Outcome::Woken } else { outcome }))
}

/// Wakes at most `count` sleepers on `cell`, and returns how many.
pub(crate) fn wake(cell: &AtomicU32, count: u32) -> usize {
    if count == 0 {
        return 0;
    }
    fence(Ordering::SeqCst);
    let (name, _) = name_of(cell);
    let Some(semaphores) = Semaphores::find(&name) else { return 0 };
    let mut woken = 0;
    while woken < count && take(&semaphores.sleepers, Duration::ZERO) == Ok(true) {
        woken += 1;
    }
    // If it fails, they look themselves.
    let _ = add(&semaphores.wake_ups, woken);
    woken as usize
}

/// A sleeper on a word. Dropping it ends the sleep.
#[derive(Debug)]
pub(crate) struct Sleeper {
    semaphores: Semaphores,
    is_alone: bool,
    is_counted: bool,
}

impl Sleeper {
    /// From now on others can wake it. Check the word before you sleep.
    pub(crate) fn on(cell: &AtomicU32) -> Result<Self, OsError> {
        let (name, is_alone) = name_of(cell);
        let semaphores = Semaphores::make(&name)?;
        add(&semaphores.sleepers, 1)?;
        // A process that has changed the word before it saw the sleeper is seen by the look.
        fence(Ordering::SeqCst);
        Ok(Self { semaphores, is_alone, is_counted: true })
    }

    /// What to sleep on. When a wait for it succeeds, call [`wake`](Self::wake).
    pub(crate) fn wake_ups(&self) -> HANDLE {
        self.semaphores.wake_ups.as_raw_handle()
    }

    /// Whether other processes change the word and cannot wake it.
    pub(crate) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// It has a wake-up.
    pub(crate) fn wake(mut self) {
        self.is_counted = false;
    }

    /// Ends the sleep; whether it was woken meanwhile.
    pub(crate) fn leave(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.is_counted = false;
        if take(&self.semaphores.sleepers, Duration::ZERO) == Ok(true) {
            return false;
        }
        // If it does not come, its sender was killed.
        let _ = take(&self.semaphores.wake_ups, ON_ITS_WAY);
        true
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if self.is_counted {
            self.end();
        }
    }
}

/// The name of a word's semaphores, and whether other processes may have the word by another name.
fn name_of(cell: &AtomicU32) -> (String, bool) {
    let address = NonZeroUsize::new(cell.as_ptr().addr()).expect("a reference is not null");
    if let Some(Place { section, offset }) = place_of(address) {
        return (format!("{section:016x}-{offset:x}"), false);
    }
    (format!("{}-{address:x}", std::process::id()), !is_private(cell))
}

/// Whether no other process can have the memory of a word.
fn is_private(cell: &AtomicU32) -> bool {
    let mut found = MEMORY_BASIC_INFORMATION::default();
    let size = size_of_val(&found);
    // SAFETY: it writes the structure, which has that size.
    let written = unsafe { VirtualQuery(cell.as_ptr().cast(), &raw mut found, size) };
    written != 0 && found.Type == MEM_PRIVATE
}

/// The semaphores of a word.
#[derive(Debug)]
struct Semaphores {
    // Closed first: as long as somebody is counted, there is a way to wake it.
    sleepers: OwnedHandle,
    wake_ups: OwnedHandle,
}

const SLEEPERS: &str = "sleepers";
const WAKE_UPS: &str = "wake-ups";

impl Semaphores {
    fn make(name: &str) -> Result<Self, OsError> {
        let failed = |code: u32| failed("CreateSemaphoreEx", code);
        let access = Access::parse(ACCESS).map_err(failed)?;
        let attributes = access.attributes();
        let make = |what| {
            let name = object_name(what, name);
            // SAFETY: the structure and the name, with its NUL, are valid while the call lasts.
            let made =
                unsafe { CreateSemaphoreExW(&raw const attributes, 0, i32::MAX, name.as_ptr(), 0, RIGHTS) };
            // SAFETY: a new handle, or null.
            unsafe { owned(made) }.map_err(failed)
        };
        let wake_ups = make(WAKE_UPS)?;
        Ok(Self { sleepers: make(SLEEPERS)?, wake_ups })
    }

    /// `None` if nobody sleeps.
    fn find(name: &str) -> Option<Self> {
        let open = |what| {
            let name = object_name(what, name);
            // SAFETY: a string with its NUL.
            let opened = unsafe { OpenSemaphoreW(RIGHTS, 0, name.as_ptr()) };
            // SAFETY: a new handle, or null.
            unsafe { owned(opened) }.ok()
        };
        Some(Self { sleepers: open(SLEEPERS)?, wake_ups: open(WAKE_UPS)? })
    }
}

fn object_name(what: &str, name: &str) -> Vec<u16> {
    wide(&format!(".shm-node-{what}-{name}"))
}

/// Adds to a semaphore.
fn add(semaphore: &OwnedHandle, count: u32) -> Result<(), OsError> {
    if count == 0 {
        return Ok(());
    }
    let before = std::ptr::null_mut();
    // SAFETY: an open handle; nothing is written.
    match unsafe { ReleaseSemaphore(semaphore.as_raw_handle(), count.cast_signed(), before) } {
        0 => Err(failed("ReleaseSemaphore", last_error())),
        _ => Ok(()),
    }
}

/// Takes one off a semaphore, within the time; whether it could.
fn take(semaphore: &OwnedHandle, time: Duration) -> Result<bool, OsError> {
    // SAFETY: an open handle.
    match unsafe { WaitForSingleObject(semaphore.as_raw_handle(), milliseconds(time)) } {
        WAIT_OBJECT_0 => Ok(true),
        WAIT_TIMEOUT => Ok(false),
        _ => Err(failed("WaitForSingleObject", last_error())),
    }
}

/// As the system counts.
pub(crate) fn milliseconds(time: Duration) -> u32 {
    time.as_micros().div_ceil(1000).min(60_000) as u32
}

fn failed(call: &'static str, code: u32) -> OsError {
    OsError::new(call, code.cast_signed())
        .advise("The call was for a sleep until another process wakes this thread.")
}
