//! All waits in one `io_uring`, whose descriptor tells when some have ended.

use super::{Ended, Engine, Request, pending::Pending};
use crate::SyncError;
use io_uring::{IoUring, Probe, opcode, squeue, types::Timespec};
use parking_lot::Mutex;
use shm_api::OsError;
use std::{
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::atomic::AtomicU32,
    time::{Duration, Instant},
};

const SUBMISSIONS: u32 = 64;
// The kernel keeps completions that do not fit until there is room.
const COMPLETIONS: u32 = 1024;
const SIZE_U32: u32 = 2;
const ANY: u64 = u32::MAX as u64;
const GETEVENTS: u32 = 1; // IORING_ENTER_GETEVENTS, io_uring_enter(2)
// Marks entries that are not waits: the timeouts linked to waits, and cancellations.
const ASIDE: u64 = 1 << 63;
const AT_LEAST: Duration = Duration::from_secs(60);
const AGES: Duration = Duration::from_secs(1 << 30);
// How long a thread that waits for the end of waits leaves the harvest to another thread.
const SLICE: Duration = Duration::from_millis(1);
const TRIES: u32 = 20;

/// An engine without a thread. Its user watches its descriptor (by `poll`, `epoll`, or an event loop), and calls
/// [`harvest`](Self::harvest) when the descriptor can be read. `IORING_OP_FUTEX_WAIT` does the waiting.
///
/// Completions are called by `harvest`, or by [`wait_out`](Engine::wait_out), which any thread may call.
pub struct Polled {
    ring: IoUring,
    // Held to touch the submission queue.
    submitting: Mutex<()>,
    // Held to touch the completion queue; inside of it, `submitting` may be taken.
    taking: Mutex<()>,
    pending: Pending<Wait>,
}

impl std::fmt::Debug for Polled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Polled").field("pending", &self.pending).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Wait {
    cell: *const AtomicU32,
    expected: u32,
    deadline: Option<Instant>,
    cancelled: bool,
    // The kernel reads it when it takes the submission.
    time: Box<Timespec>,
}

// SAFETY: the pointer is only handed to the kernel.
unsafe impl Send for Wait {}

impl Wait {
    fn entries(&mut self, token: u64) -> Vec<squeue::Entry> {
        let entry = opcode::FutexWait::new(self.cell.cast(), self.expected.into(), ANY, SIZE_U32)
            .build()
            .user_data(token);
        let Some(deadline) = self.deadline else { return vec![entry] };
        let left = deadline.saturating_duration_since(Instant::now());
        *self.time = Timespec::from(left);
        let timeout = opcode::LinkTimeout::new(&raw const *self.time).build().user_data(token | ASIDE);
        vec![entry.flags(squeue::Flags::IO_LINK), timeout]
    }
}

pub(super) fn failed(call: &'static str, error: &io::Error) -> OsError {
    OsError::new(call, error.raw_os_error().unwrap_or(libc::EIO))
        .advise("Waiting through io_uring needs Linux 6.7, and containers often forbid it.")
}

impl Polled {
    /// Makes an engine with nothing pending.
    ///
    /// # Errors
    ///
    /// If the kernel is too old, forbids it, or has no descriptors or memory left.
    pub fn new() -> Result<Self, SyncError> {
        let mut ring = IoUring::builder()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(|error| failed("io_uring_setup", &error))?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).map_err(|error| failed("io_uring_register", &error))?;
        let needed = [opcode::FutexWait::CODE, opcode::LinkTimeout::CODE, opcode::AsyncCancel::CODE];
        if !needed.into_iter().all(|code| probe.is_supported(code)) || !ring.params().is_feature_nodrop() {
            return Err(failed("io_uring", &io::Error::from_raw_os_error(libc::ENOSYS)).into());
        }
        // Some containers forbid only this call.
        // SAFETY: it points to nothing.
        unsafe { ring.submission().push(&opcode::Nop::new().build()) }
            .map_err(|_| failed("io_uring", &io::Error::from_raw_os_error(libc::EBUSY)))?;
        ring.submit_and_wait(1).map_err(|error| failed("io_uring_enter", &error))?;
        ring.completion().for_each(drop);
        Ok(Self { ring, submitting: Mutex::new(()), taking: Mutex::new(()), pending: Pending::new() })
    }

    /// Calls the completions of waits that have ended: a limited number of them, so that the loop can also do its other
    /// work. `true`: there may be more, and then the descriptor can still be read. It does not block. In the child of a
    /// fork it does nothing.
    pub fn harvest(&self) -> bool {
        if !self.pending.is_ours() {
            return false; // the queue is the parent's
        }
        for _ in 0..COMPLETIONS {
            let Some((token, result)) = self.take() else { return false };
            if token & ASIDE == 0 {
                self.ended(token, result);
            }
        }
        true
    }

    fn take(&self) -> Option<(u64, i32)> {
        let _alone = self.taking.lock();
        let next = || {
            // SAFETY: a thread that looks at the completion queue holds `taking`.
            let completion = unsafe { self.ring.completion_shared() }.next()?;
            Some((completion.user_data(), completion.result()))
        };
        next().or_else(|| {
            if !self.has_more() {
                return None;
            }
            // The kernel moves what it kept into the queue. If it cannot, the descriptor stays readable.
            let _ = self.get_events(0);
            next()
        })
    }

    /// Whether the kernel keeps completions that did not fit into the queue.
    fn has_more(&self) -> bool {
        let _alone = self.submitting.lock();
        // SAFETY: a thread that looks at the submission queue holds `submitting`.
        unsafe { self.ring.submission_shared() }.cq_overflow()
    }

    /// Blocks until at least `least` completions are there. It submits nothing, because only the thread that pushes may
    /// do that: another thread, in the middle of a push, could submit a wait without the timeout that is linked to it.
    fn get_events(&self, least: u32) -> io::Result<usize> {
        // SAFETY: it submits nothing, so that nothing has to stay valid.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(0, least, GETEVENTS, None) }
    }

    /// Blocks until there is something to harvest. Errors are transient: a signal, no memory.
    pub(super) fn wait_for_one(&self) -> io::Result<()> {
        self.get_events(1).map(drop)
    }

    /// Ends a [`wait_for_one`](Self::wait_for_one); `false` if there is no room for the entry.
    pub(super) fn wake(&self) -> bool {
        self.submit_all(&[opcode::Nop::new().build().user_data(ASIDE)]).is_ok()
    }

    /// Passes entries to the kernel. If it has no memory, they stay in the queue, and the next submission tries again.
    fn submit_all(&self, entries: &[squeue::Entry]) -> Result<(), ()> {
        let _alone = self.submitting.lock();
        self.push(entries).or_else(|()| {
            self.flush();
            self.push(entries)
        })?;
        self.flush();
        Ok(())
    }

    fn push(&self, entries: &[squeue::Entry]) -> Result<(), ()> {
        // SAFETY: a thread that pushes holds `submitting`.
        let mut queue = unsafe { self.ring.submission_shared() };
        // SAFETY: the cells and times that entries point to stay until their completion came.
        unsafe { queue.push_multiple(entries) }.map_err(drop)
    }

    fn flush(&self) {
        for _ in 0..TRIES {
            match self.ring.submit() {
                Ok(_) => return,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                // No memory: others may give some back.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Passes a pending wait to the kernel.
    fn begin(&self, token: u64) -> Result<(), ()> {
        let Some(entries) = self.pending.with(token, |wait| wait.entries(token)) else { return Ok(()) };
        self.submit_all(&entries)?;
        // If it was cancelled before the kernel had it, the cancellation found nothing to cancel.
        if self.pending.with(token, |wait| wait.cancelled) == Some(true) {
            self.end(token);
        }
        Ok(())
    }

    fn end(&self, token: u64) {
        let cancel = opcode::AsyncCancel::new(token).build().user_data(token | ASIDE);
        let mut tries = 0;
        while self.submit_all(std::slice::from_ref(&cancel)).is_err() && tries < TRIES {
            tries += 1;
        }
    }

    fn ended(&self, token: u64, result: i32) {
        let ended = match -result {
            0 => Ended::Woken,
            libc::EAGAIN => Ended::NotEqual,
            libc::ECANCELED | libc::EINTR => {
                let why = self.pending.with(token, |wait| {
                    let over = wait.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                    if wait.cancelled { Some(Ended::Cancelled) } else { over.then_some(Ended::TimedOut) }
                });
                match why {
                    None => return,
                    Some(Some(ended)) => ended,
                    // The kernel cancels the entries of a thread when that thread ends. We do not: submit it again.
                    Some(None) if self.begin(token).is_ok() => return,
                    Some(None) => {
                        Ended::Failed(failed("io_uring_enter", &io::Error::from_raw_os_error(libc::EBUSY)))
                    }
                }
            }
            errno => Ended::Failed(
                OsError::new("io_uring futex wait", errno).advise("Is the memory still mapped?"),
            ),
        };
        self.pending.complete(token, ended);
    }
}

impl AsFd for Polled {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring has it open as long as we are borrowed.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

impl Engine for Polled {
    fn name(&self) -> &'static str {
        "io_uring, polled"
    }

    unsafe fn submit(&self, request: Request) -> Result<(), SyncError> {
        let Request { cell, expected, timeout, token, completion } = request;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let time = Box::new(Timespec::new());
        let wait = Wait { cell, expected, deadline, cancelled: false, time };
        self.pending.insert(token, cell.addr(), completion, wait)?;
        self.begin(token).map_err(|()| {
            self.pending.forget(token);
            SyncError::TooManyWaits { pending: self.pending.len() }
        })
    }

    fn cancel(&self, token: u64) -> bool {
        let pending = self.pending.with(token, |wait| wait.cancelled = true).is_some();
        let ours = pending && self.pending.is_ours();
        if ours {
            self.end(token);
        }
        ours
    }

    fn cancel_in(&self, addresses: Range<usize>) -> usize {
        let tokens = self.pending.tokens_in(&addresses);
        tokens.into_iter().filter(|&token| self.cancel(token)).count()
    }

    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout.min(AGES);
        loop {
            let more = self.harvest();
            let left = deadline.saturating_duration_since(Instant::now());
            if self.pending.wait_out(&addresses, if more { Duration::ZERO } else { left.min(SLICE) }) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    fn pending(&self) -> usize {
        self.pending.len()
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        if self.pending.is_ours() {
            self.cancel_in(0..usize::MAX);
            self.wait_out(0..usize::MAX, AT_LEAST);
        }
    }
}
