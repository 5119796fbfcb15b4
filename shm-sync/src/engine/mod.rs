//! Many waits at once, without blocking a thread of the caller, as an event loop needs.
//!
//! There are three engines, the best first: `Uring` (Linux 6.7, unless `io_uring` is forbidden: one thread for all
//! waits), `ThreadsWaitv` (Linux 5.16: a thread for each wait), [`ThreadsSliced`] (everywhere: a thread for each wait,
//! which wakes up every 10 ms to check whether it was cancelled). [`choose`] takes the first that works here. On macOS
//! there is only the last one. On systems with 32-bit pointers there is no `Uring`. Windows has `Pool`, in which the
//! thread pool of the process waits.
//!
//! If `Uring` works, a program with its own event loop can use `Polled`: the loop watches its descriptor, and no other
//! thread is needed between the kernel and the loop.

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
    if #[cfg(windows)] {
        mod pool;
        pub use pool::Pool;
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

/// How many waits one engine can have pending.
pub const MOST_PENDING: usize = 1 << 16;

/// How a submitted wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was notified, perhaps at the moment in which it was cancelled: a wake-up is never lost.
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

/// Called once, from a thread of the engine, or from a thread that waits for the end of waits. It must not block.
pub type Completion = Box<dyn FnOnce(Ended) + Send>;

/// A wait to submit.
pub struct Request {
    /// The word to wait on.
    pub cell: *const AtomicU32,
    /// The wait lasts while the word has this value.
    pub expected: u32,
    /// How long to wait at most; `None`: no time limit.
    pub timeout: Option<Duration>,
    /// The caller's number for it: less than 2^63, and different from the tokens of all pending waits.
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

/// Something that keeps many waits pending. If it is dropped, it cancels them all and waits for their completions.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Begins a wait. Change the cell before you notify; then no wake-up is lost. (A notification without a change may
    /// come before a thread of the engine sleeps. With `io_uring`, the wait has begun when this returns.)
    ///
    /// # Errors
    ///
    /// If the token is in use, or there is no room or no thread for the wait. The completion is not called then.
    ///
    /// # Safety
    ///
    /// The cell stays mapped until the completion was called. So call [`cancel_in`] and then [`wait_out`] before you
    /// detach.
    ///
    /// [`cancel_in`]: Self::cancel_in
    /// [`wait_out`]: Self::wait_out
    unsafe fn submit(&self, request: Request) -> Result<(), SyncError>;

    /// Cancels a wait. Its completion says how it ended. Returns `false` if no such wait is pending.
    fn cancel(&self, token: u64) -> bool;

    /// Cancels all waits on cells in a range of addresses, and returns how many.
    fn cancel_in(&self, addresses: Range<usize>) -> usize;

    /// Blocks until no wait on a cell in the range is pending, and all their completions have been called. Returns
    /// `false` if `timeout` is over before. Do not call it within a completion.
    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool;

    /// How many waits are pending.
    fn pending(&self) -> usize;
}

#[cfg(test)]
mod tests;
