//! On Windows: a named event for each owner.
//!
//! The kernel removes an event with its last handle, so the event exists as long as the process of its owner. Nobody
//! may open it, not even its user: a refusal shows that it exists. So a check cannot make the event last longer. (Wine
//! does not check who may open an event. There the event lasts until a process that opened it for a check has closed
//! it.)
//!
//! The ids come from a named semaphore: a release adds to its count and returns the count before. Nobody may wait for
//! it, so the count never decreases. It is gone when all processes that used it have ended. The next one begins at a
//! random number in the lower half, so the ids in a segment that is older than it belong to nobody.
//!
//! All of it lies in the namespace of the session, as the segments do. So all users of a segment have the same counter,
//! and another user of the session can pretend that a dead owner lives, and stall waiters.

use super::{Ids, Live};
use crate::{Owner, SyncError};
use shm_api::{OsError, SegmentInfo};
use shm_lifetime::named::{Access, last_error, owned, wide};
use std::{
    collections::HashMap,
    ops::RangeInclusive,
    os::windows::io::{AsRawHandle, OwnedHandle},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU32},
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_NOT_SUPPORTED,
        ERROR_TOO_MANY_POSTS,
    },
    System::Threading::{
        CREATE_EVENT_MANUAL_RESET, CreateEventExW, CreateSemaphoreExW, OpenEventW, ReleaseSemaphore,
        SEMAPHORE_MODIFY_STATE, SYNCHRONIZATION_SYNCHRONIZE,
    },
};

/// What structures carry in place of a live file's id: `sess`.
const SESSION: u32 = u32::from_le_bytes(*b"sess");

const COUNTER: &str = ".shm-node-live";

/// Everybody may add to it (`SEMAPHORE_MODIFY_STATE`), and do nothing else.
const COUNTER_ACCESS: &str = "D:P(A;;0x2;;;WD)";

/// Nobody may open it.
const EVENT_ACCESS: &str = "D:P";

/// How often to draw ids again if somebody has made events of the drawn ones.
const ATTEMPTS: u32 = 100;

/// The counter of this session, and the events of this process.
#[derive(Debug)]
pub(super) struct Space {
    counter: OwnedHandle,
    events: Mutex<HashMap<u32, OwnedHandle>>,
}

impl Live {
    /// Returns what the processes of this session have in common.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn own() -> Result<&'static Self, SyncError> {
        static LIVE: OnceLock<Live> = OnceLock::new();
        if let Some(known) = LIVE.get() {
            return Ok(known);
        }
        let live = Self { space: Space::open()?, number: 1, ids: Ids::default() };
        Ok(LIVE.get_or_init(|| live))
    }

    /// Returns the same as [`own`](Self::own): on Windows, all processes of a session have one.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn shared(_uid: u32) -> Result<&'static Self, SyncError> {
        Self::own()
    }

    /// Returns the same as [`own`](Self::own) for every segment and structure.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn of_segment(_segment: &SegmentInfo, _carried: u32) -> Result<&'static Self, SyncError> {
        Self::own()
    }
}

impl Space {
    fn open() -> Result<Self, SyncError> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| {
            let code = error.raw_os_error().unwrap_or(ERROR_NOT_SUPPORTED.cast_signed());
            OsError::new("ProcessPrng", code).advise("The counter of owner ids needs a random number.")
        })?;
        Self::with_counter(COUNTER, (u32::from_le_bytes(random) % (Owner::MAX / 2)).max(1))
    }

    /// Opens the counter of this name. If there is none, makes one that begins with `first`.
    fn with_counter(name: &str, first: u32) -> Result<Self, SyncError> {
        let (access, name) = (access(COUNTER_ACCESS)?, wide(name));
        let (attributes, rights) = (access.attributes(), SEMAPHORE_MODIFY_STATE);
        let (first, end) = (first.cast_signed(), (Owner::MAX + 1).cast_signed());
        // SAFETY: the structure and the name, with its NUL, are valid while the call lasts.
        let made = unsafe { CreateSemaphoreExW(&raw const attributes, first, end, name.as_ptr(), 0, rights) };
        // SAFETY: a new handle, or null.
        let counter = unsafe { owned(made) }.map_err(|code| failed("CreateSemaphoreEx", code))?;
        Ok(Self { counter, events: Mutex::default() })
    }

    pub(super) const fn id(&self) -> u32 {
        SESSION
    }

    fn events(&self) -> MutexGuard<'_, HashMap<u32, OwnedHandle>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws `count` ids that live until [`end`](Self::end) or the end of the process, and returns the first.
    pub(super) fn draw(&self, count: u32) -> Result<u32, SyncError> {
        let access = access(EVENT_ACCESS)?;
        for _ in 0..ATTEMPTS {
            let first = self.advance(count)?;
            // Where somebody made one of them who did not draw it, they are passed over.
            let made = (first..first + count).map(|id| Ok(make_event(id, &access)?.map(|event| (id, event))));
            if let Some(made) = made.collect::<Result<Option<Vec<_>>, SyncError>>()? {
                self.events().extend(made);
                return Ok(first);
            }
        }
        Err(OsError::new("CreateEventEx", ERROR_ALREADY_EXISTS.cast_signed())
            .advise("Another process has made events of owner ids that it did not draw: end that process.")
            .into())
    }

    /// Adds to the counter, and returns what it was before.
    fn advance(&self, count: u32) -> Result<u32, SyncError> {
        let mut before = 0;
        // SAFETY: an open handle; it writes the number.
        let added =
            unsafe { ReleaseSemaphore(self.counter.as_raw_handle(), count.cast_signed(), &raw mut before) };
        match added {
            0 => match last_error() {
                ERROR_TOO_MANY_POSTS => Err(SyncError::NoIds),
                code => Err(failed("ReleaseSemaphore", code)),
            },
            _ => Ok(before.cast_unsigned()),
        }
    }

    /// Ends the life of an id of this process.
    pub(super) fn end(&self, owner: Owner) {
        self.events().remove(&owner.get());
    }

    /// Whether an owner of another process may live. No owner loses a lock because we could not ask.
    #[expect(clippy::unused_self, reason = "other systems need it")]
    pub(super) fn may_live(&self, owner: Owner) -> bool {
        let name = event_name(owner.get());
        // SAFETY: a string with its NUL.
        let opened = unsafe { OpenEventW(SYNCHRONIZATION_SYNCHRONIZE, 0, name.as_ptr()) };
        // SAFETY: a new handle, or null.
        !matches!(unsafe { owned(opened) }, Err(ERROR_FILE_NOT_FOUND))
    }

    /// Unknown here.
    #[expect(clippy::unused_self, reason = "other systems need it")]
    pub(super) const fn processes(&self) -> Vec<(RangeInclusive<u32>, u32)> {
        Vec::new()
    }

    /// Unknown here.
    pub(super) const fn is_abandoned(_word: &AtomicU32, _other: u32) -> bool {
        false
    }
}

/// The event of an id; `None` if it exists already.
fn make_event(id: u32, access: &Access) -> Result<Option<OwnedHandle>, SyncError> {
    let (attributes, name) = (access.attributes(), event_name(id));
    let (flags, rights) = (CREATE_EVENT_MANUAL_RESET, SYNCHRONIZATION_SYNCHRONIZE);
    // SAFETY: the structure and the name, with its NUL, are valid while the call lasts.
    let made = unsafe { CreateEventExW(&raw const attributes, name.as_ptr(), flags, rights) };
    let existed = last_error() == ERROR_ALREADY_EXISTS;
    // SAFETY: a new handle, or null.
    match unsafe { owned(made) } {
        Ok(event) => Ok((!existed).then_some(event)),
        Err(ERROR_ACCESS_DENIED) => Ok(None),
        Err(code) => Err(failed("CreateEventEx", code)),
    }
}

fn event_name(id: u32) -> Vec<u16> {
    wide(&format!("{COUNTER}-{id}"))
}

fn access(text: &str) -> Result<Access, SyncError> {
    Access::parse(text).map_err(|code| failed("ConvertStringSecurityDescriptorToSecurityDescriptor", code))
}

fn failed(call: &'static str, code: u32) -> SyncError {
    OsError::new(call, code.cast_signed())
        .advise("The call was for the objects that show which owners of this session live.")
        .into()
}

/// There are no forks.
#[inline]
pub(super) const fn generation() -> u32 {
    0
}

/// Reports of deaths, which Windows does not have.
#[derive(Debug)]
pub struct Deaths(());

impl Deaths {
    /// Fails always: check with `is_alive` from time to time.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn new() -> Result<Self, SyncError> {
        Err(OsError::new("inotify_init1", ERROR_NOT_SUPPORTED.cast_signed())
            .advise("Windows does not report deaths: check with `is_alive` from time to time.")
            .into())
    }

    /// Nothing to watch.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn watch(&self) -> Result<(), SyncError> {
        Ok(())
    }

    /// Nothing to wait for.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn wait(&self) -> Result<(), SyncError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
