//! A thread for each wait.

use super::{Ended, Engine, Request, pending::Pending};
use crate::SyncError;
use shm_api::OsError;
use std::{
    fmt,
    marker::PhantomData,
    ops::Range,
    sync::{Arc, atomic::AtomicU32},
    time::{Duration, Instant},
};

// It runs one system call and the completion.
const STACK: usize = 64 << 10;
const SPAWN: &str = if cfg!(windows) { "CreateThread" } else { "clone" };
// As long as it takes: a wait that was cancelled ends within milliseconds.
const AT_LEAST: Duration = Duration::from_secs(60);

/// How a thread waits so that it can be cancelled.
pub trait Way: fmt::Debug + Send + Sync + 'static {
    /// Its name, for messages.
    const NAME: &'static str;

    /// Checks whether it works here.
    ///
    /// # Errors
    ///
    /// If it does not work here.
    fn check() -> Result<(), OsError>;

    /// Waits while `cell` holds `expected`, until `deadline`, unless `cancelled` is not 0.
    fn wait(cell: &AtomicU32, expected: u32, deadline: Option<Instant>, cancelled: &AtomicU32) -> Ended;

    /// Ends the wait.
    fn cancel(cancelled: &AtomicU32);
}

/// An engine with a thread for each wait.
#[derive(Debug)]
pub struct Threads<W: Way> {
    pending: Arc<Pending<Arc<AtomicU32>>>,
    way: PhantomData<W>,
}

impl<W: Way> Threads<W> {
    /// Makes an engine with nothing pending.
    ///
    /// # Errors
    ///
    /// If this way to wait does not work here.
    pub fn new() -> Result<Self, SyncError> {
        W::check()?;
        Ok(Self { pending: Arc::new(Pending::new()), way: PhantomData })
    }
}

impl<W: Way> Engine for Threads<W> {
    fn name(&self) -> &'static str {
        W::NAME
    }

    unsafe fn submit(&self, request: Request) -> Result<(), SyncError> {
        let Request { cell, expected, timeout, token, completion } = request;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let cancelled = Arc::new(AtomicU32::new(0));
        let address = cell.addr();
        self.pending.insert(token, address, completion, cancelled.clone())?;
        let pending = self.pending.clone();
        // SAFETY: by the contract of `submit` the cell stays until the completion was called.
        let cell: &'static AtomicU32 = unsafe { &*cell };
        let thread = std::thread::Builder::new().name("shm-sync wait".into()).stack_size(STACK);
        let spawned = thread.spawn(move || {
            let ended = W::wait(cell, expected, deadline, &cancelled);
            pending.complete(token, ended);
        });
        spawned.map(drop).map_err(|error| {
            self.pending.forget(token);
            // An error without a number is about the name, which has no NUL.
            OsError::new(SPAWN, error.raw_os_error().unwrap_or(0))
                .advise("There is no thread for one more wait: try again when some have ended.")
                .into()
        })
    }

    fn cancel(&self, token: u64) -> bool {
        self.pending.with(token, |cancelled| W::cancel(cancelled)).is_some()
    }

    fn cancel_in(&self, addresses: Range<usize>) -> usize {
        let tokens = self.pending.tokens_in(&addresses);
        tokens.into_iter().filter(|&token| self.cancel(token)).count()
    }

    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool {
        self.pending.wait_out(&addresses, timeout)
    }

    fn pending(&self) -> usize {
        self.pending.len()
    }
}

impl<W: Way> Drop for Threads<W> {
    fn drop(&mut self) {
        if self.pending.is_ours() {
            self.cancel_in(0..usize::MAX);
            self.wait_out(0..usize::MAX, AT_LEAST);
        }
    }
}
