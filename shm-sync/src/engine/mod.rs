//! Many waits at once, without blocking a thread of the caller, as an event loop needs.
//!
//! Three ways, best first: `Uring` (Linux 6.7, where `io_uring` is not forbidden: one thread for all
//! waits), `ThreadsWaitv` (Linux 5.16: a thread for each wait), [`ThreadsSliced`] (everywhere: a thread for
//! each wait that wakes up every 10 ms to see whether it was cancelled). [`choose`] takes the first that
//! works here. On macOS there is the last one only, and where pointers have 32 bits there is no `Uring`.
//!
//! A program with an event loop of its own has `Polled` where `Uring` works: the loop watches its descriptor, and
//! no other thread stands between the kernel and the loop.

mod choice;
mod pending;
mod sliced;
mod threads;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod waitv;
        pub use waitv::Waitv;

        /// A thread for each wait, in a two-entry `futex_waitv`.
        pub type ThreadsWaitv = Threads<Waitv>;
    }
}

cfg_if::cfg_if! {
    if #[cfg(all(target_os = "linux", target_pointer_width = "64"))] {
        mod polled;
        mod uring;
        pub use polled::Polled;
        pub use uring::Uring;
    }
}

use crate::SyncError;
pub use choice::{by_name, choose};
use shm_api::OsError;
pub use sliced::Sliced;
use std::{fmt, ops::Range, sync::atomic::AtomicU32, time::Duration};
pub use threads::{Threads, Way};

/// A thread for each wait, which checks every 10 ms whether the wait was cancelled.
pub type ThreadsSliced = Threads<Sliced>;

/// The most waits that one engine has pending.
pub const MOST_PENDING: usize = 1 << 16;

/// How a submitted wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was notified, or notified and cancelled at the same moment: a wake-up is never lost.
    Woken,
    /// The cell did not hold the expected value.
    NotEqual,
    /// Time is up.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// The system refused.
    Failed(OsError),
}

/// Called once, from a thread of the engine's, or from one that waits for the end of waits; it must not block.
pub type Completion = Box<dyn FnOnce(Ended) + Send>;

/// A wait to submit.
pub struct Request {
    /// The word to wait on.
    pub cell: *const AtomicU32,
    /// The value while which to wait.
    pub expected: u32,
    /// How long, if not for ever.
    pub timeout: Option<Duration>,
    /// The caller's name for it: below 2^63, and different from the names of all pending waits.
    pub token: u64,
    /// The function to call when it has ended.
    pub completion: Completion,
}

// SAFETY: the pointer is only handed to the kernel, whichever thread does it; see `Engine::submit`.
unsafe impl Send for Request {}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("cell", &self.cell)
            .field("expected", &self.expected)
            .field("timeout", &self.timeout)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A way to have many waits pending. Dropping it cancels them all and waits for their completions.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Begins a wait. Change the cell before you notify; then no wake-up is lost. (A notification without a change can
    /// come before a thread of the engine sleeps; with `io_uring` the wait is in place when this returns.)
    ///
    /// # Errors
    ///
    /// If the token is in use, or there is no room or no thread for the wait. The completion is not called then.
    ///
    /// # Safety
    ///
    /// The cell stays mapped until the completion was called. So before detaching: [`cancel_in`], then
    /// [`wait_out`].
    ///
    /// [`cancel_in`]: Self::cancel_in
    /// [`wait_out`]: Self::wait_out
    unsafe fn submit(&self, request: Request) -> Result<(), SyncError>;

    /// Asks for the end of a wait; its completion tells how it ended. `false` where no such wait is pending.
    fn cancel(&self, token: u64) -> bool;

    /// Cancels all waits on cells in a range of addresses, and returns how many.
    fn cancel_in(&self, addresses: Range<usize>) -> usize;

    /// Blocks until no wait on a cell in the range is pending and their completions have been called, or
    /// `timeout` is over; tells which. Not from within a completion.
    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool;

    /// How many waits are pending.
    fn pending(&self) -> usize;
}

#[cfg(test)]
mod tests;
