//! The thread pool of Windows waits for the wake-ups: no thread of ours, and none for each wait.

use super::{Ended, Engine, Request, pending::Pending};
use crate::{
    SyncError,
    futex::{Sleeper, milliseconds},
};
use shm_api::OsError;
use std::{
    ffi::c_void,
    io,
    ops::Range,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use windows_sys::Win32::{
    Foundation::HANDLE,
    System::Threading::{RegisterWaitForSingleObject, UnregisterWait, WT_EXECUTEONLYONCE},
};

/// How often a wait also checks its word: a process that wakes a sleeper may be killed before it has done so.
const LOOK: Duration = Duration::from_secs(5);
/// The same if other processes cannot wake it.
const LOOK_ALONE: Duration = Duration::from_millis(10);

// As long as it takes: a wait that was cancelled ends within milliseconds.
const AT_LEAST: Duration = Duration::from_secs(60);

/// An engine that leaves the waiting to the thread pool of the process.
#[derive(Debug)]
pub struct Pool(Arc<Pending<Wait>>);

impl Pool {
    /// Returns an engine with nothing pending.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn new() -> Result<Self, SyncError> {
        Ok(Self(Arc::new(Pending::new())))
    }
}

/// A wait that the pool has.
#[derive(Debug)]
struct Wait {
    /// `None` once it has ended.
    sleeper: Option<Sleeper>,
    cell: &'static AtomicU32,
    expected: u32,
    deadline: Option<Instant>,
    /// The word held another value from the beginning.
    is_late: bool,
    is_cancelled: bool,
    /// The pool's handle of it; null while the pool does not have it.
    registered: HANDLE,
    callback: *mut Callback,
}

// SAFETY: a handle is the process's, and whoever has the lock of the pending waits uses the pointer.
unsafe impl Send for Wait {}

/// What the pool calls back with.
#[derive(Debug)]
struct Callback {
    pending: Arc<Pending<Wait>>,
    token: u64,
}

impl Wait {
    fn is_changed(&self) -> bool {
        self.cell.load(Ordering::SeqCst) != self.expected
    }

    /// Passes it to the pool, which calls back after a wake-up, or when the time is up.
    fn register(&mut self, time: Duration) -> Result<(), OsError> {
        let Some(sleeper) = &self.sleeper else { return Ok(()) };
        let look = if sleeper.is_alone() { LOOK_ALONE } else { LOOK };
        let time = milliseconds(time.min(look));
        let (handle, argument) = (&raw mut self.registered, self.callback.cast());
        // SAFETY: the semaphore and the argument stay until the wait has ended.
        let done = unsafe {
            let how = WT_EXECUTEONLYONCE;
            RegisterWaitForSingleObject(handle, sleeper.wake_ups(), Some(called), argument, time, how)
        };
        match done {
            0 => Err(OsError::new(
                "RegisterWaitForSingleObject",
                io::Error::last_os_error().raw_os_error().unwrap_or(0),
            )
            .advise("There is no room for one more wait: try again when some have ended.")),
            _ => Ok(()),
        }
    }

    /// Takes it back. `false`: the pool will call back all the same, or has done so.
    fn unregister(&mut self) -> bool {
        let registered = std::mem::replace(&mut self.registered, ptr::null_mut());
        // SAFETY: the pool gave it, and it is given back once.
        !registered.is_null() && unsafe { UnregisterWait(registered) } != 0
    }

    /// After the pool called back: how the wait has ended; `None` if it goes on.
    fn look(&mut self, has_wake_up: bool) -> Option<Ended> {
        self.unregister();
        if has_wake_up {
            self.sleeper.take()?.wake();
            return Some(Ended::Woken);
        }
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let ended = if self.is_cancelled {
            Ended::Cancelled
        } else if self.is_late {
            Ended::NotEqual
        } else if self.is_changed() {
            Ended::Woken
        } else if left == Some(Duration::ZERO) {
            Ended::TimedOut
        } else {
            match self.register(left.unwrap_or(Duration::MAX)) {
                Ok(()) => return None,
                Err(error) => Ended::Failed(error),
            }
        };
        Some(if self.sleeper.take()?.leave() { Ended::Woken } else { ended })
    }
}

/// What the pool calls.
unsafe extern "system" fn called(argument: *mut c_void, is_timeout: bool) {
    let callback: *mut Callback = argument.cast();
    // SAFETY: `submit` made it, and it stays until this frees it below.
    let Callback { pending, token } = unsafe { &*callback };
    if let Some(Some(ended)) = pending.with(*token, |wait| wait.look(!is_timeout)) {
        // SAFETY: as above; the pool does not call again, as the wait is not registered any more.
        let callback = unsafe { Box::from_raw(callback) };
        callback.pending.complete(callback.token, ended);
    }
}

impl Engine for Pool {
    fn name(&self) -> &'static str {
        "the thread pool of Windows"
    }

    unsafe fn submit(&self, request: Request) -> Result<(), SyncError> {
        let Request { cell, expected, timeout, token, completion } = request;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let address = cell.addr();
        // SAFETY: by the contract of `submit` the cell stays until the completion was called.
        let cell: &'static AtomicU32 = unsafe { &*cell };
        let callback = Box::into_raw(Box::new(Callback { pending: self.0.clone(), token }));
        let (registered, sleeper) = (ptr::null_mut(), Some(Sleeper::on(cell)?));
        let (is_late, is_cancelled) = (false, false);
        let wait = Wait { sleeper, cell, expected, deadline, is_late, is_cancelled, registered, callback };
        let begin = |wait: &mut Wait| {
            wait.is_late = wait.is_changed();
            let is_over = wait.is_late || wait.is_cancelled;
            wait.register(if is_over { Duration::ZERO } else { timeout.unwrap_or(Duration::MAX) })
        };
        let begun = self.0.insert(token, address, completion, wait).and_then(|()| {
            let begun = self.0.with(token, begin).unwrap_or(Ok(()));
            Ok(begun.inspect_err(|_| self.0.forget(token))?)
        });
        begun.inspect_err(|_| {
            // SAFETY: made above, and the pool has not got it.
            drop(unsafe { Box::from_raw(callback) });
        })
    }

    fn cancel(&self, token: u64) -> bool {
        let cancelled = self.0.with(token, |wait| {
            wait.is_cancelled = true;
            // If the pool does not call any more, it is to call at once.
            if wait.unregister() { wait.register(Duration::ZERO) } else { Ok(()) }
        });
        if let Some(Err(error)) = &cancelled {
            self.0.complete(token, Ended::Failed(error.clone()));
        }
        cancelled.is_some()
    }

    fn cancel_in(&self, addresses: Range<usize>) -> usize {
        let tokens = self.0.tokens_in(&addresses);
        tokens.into_iter().filter(|&token| self.cancel(token)).count()
    }

    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool {
        self.0.wait_out(&addresses, timeout)
    }

    fn pending(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.cancel_in(0..usize::MAX);
        self.wait_out(0..usize::MAX, AT_LEAST);
    }
}
