//! One thread for all waits, through io_uring.

use super::{Ended, Engine, Request, pending::Pending};
use crate::SyncError;
use io_uring::{IoUring, Probe, opcode, squeue, types::Timespec};
use parking_lot::Mutex;
use shm_api::OsError;
use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const SUBMISSIONS: u32 = 256;
// What does not fit is kept by the kernel until there is room.
const COMPLETIONS: u32 = 8192;
const SIZE_U32: u32 = 2;
const ANY: u64 = u32::MAX as u64;
// Marks what is not a wait: the timeouts linked to waits, and cancellations.
const ASIDE: u64 = 1 << 63;
const STACK: usize = 64 << 10;
const AT_LEAST: Duration = Duration::from_secs(60);
const TRIES: u32 = 20;

/// An engine over `io_uring`: `IORING_OP_FUTEX_WAIT`.
#[derive(Debug)]
pub struct Uring {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    ring: IoUring,
    // Held to touch the submission queue. Only the thread touches the completion queue.
    submitting: Mutex<()>,
    pending: Pending<Wait>,
    ends: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("pending", &self.pending).finish_non_exhaustive()
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

fn failed(call: &'static str, error: &io::Error) -> OsError {
    OsError::new(call, error.raw_os_error().unwrap_or(libc::EIO))
        .advise("Waiting through io_uring needs Linux 6.7, and containers often forbid it.")
}

impl Uring {
    /// An engine with nothing pending.
    ///
    /// # Errors
    ///
    /// Where the kernel is too old, or does not let us.
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
        let (submitting, ends) = (Mutex::new(()), AtomicBool::new(false));
        let shared = Arc::new(Shared { ring, submitting, pending: Pending::new(), ends });
        let thread = std::thread::Builder::new().name("shm-sync uring".into()).stack_size(STACK);
        let thread = thread
            .spawn({
                let shared = shared.clone();
                move || shared.run()
            })
            .map_err(|error| failed("clone", &error))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Shared {
    /// Hands entries to the kernel. They stay in the queue where it is short of something; the next submission tries
    /// again.
    fn submit(&self, entries: &[squeue::Entry]) -> Result<(), ()> {
        let _alone = self.submitting.lock();
        self.push(entries).or_else(|()| {
            self.flush();
            self.push(entries)
        })?;
        self.flush();
        Ok(())
    }

    fn push(&self, entries: &[squeue::Entry]) -> Result<(), ()> {
        // SAFETY: whoever pushes holds `submitting`.
        let mut queue = unsafe { self.ring.submission_shared() };
        // SAFETY: the cells and times that entries point to stay until their completion came.
        unsafe { queue.push_multiple(entries) }.map_err(drop)
    }

    fn flush(&self) {
        for _ in 0..TRIES {
            match self.ring.submit() {
                Ok(_) => return,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                // No memory, or too many completions: the thread is about to take some.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn entries(token: u64, wait: &mut Wait) -> Vec<squeue::Entry> {
        let entry = opcode::FutexWait::new(wait.cell.cast(), wait.expected.into(), ANY, SIZE_U32)
            .build()
            .user_data(token);
        let Some(deadline) = wait.deadline else { return vec![entry] };
        let left = deadline.saturating_duration_since(Instant::now());
        *wait.time = Timespec::from(left);
        let timeout = opcode::LinkTimeout::new(&raw const *wait.time).build().user_data(token | ASIDE);
        vec![entry.flags(squeue::Flags::IO_LINK), timeout]
    }

    fn wait_for_one(&self) -> io::Result<usize> {
        const GETEVENTS: u32 = 1; // IORING_ENTER_GETEVENTS, io_uring_enter(2)
        // SAFETY: it submits nothing, so that nothing has to stay valid.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(0, 1, GETEVENTS, None) }
    }

    fn run(&self) {
        while !self.ends.load(Ordering::Acquire) {
            // It submits nothing: whoever pushes does, and a thread that came in the middle of a push could take a
            // wait without the timeout that is linked to it. Errors are transient: a signal, no memory.
            if self.wait_for_one().is_err() {
                std::thread::yield_now();
            }
            loop {
                // SAFETY: only this thread touches the completion queue.
                let next = unsafe { self.ring.completion_shared() }.next();
                let Some(completion) = next else { break };
                if completion.user_data() & ASIDE == 0 {
                    self.ended(completion.user_data(), completion.result());
                }
            }
        }
    }

    fn ended(&self, token: u64, result: i32) {
        let ended = match -result {
            0 => Ended::Woken,
            libc::EAGAIN => Ended::NotEqual,
            libc::ECANCELED | libc::EINTR => match self.pending.with(token, |wait| {
                let over = wait.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                match (wait.cancelled, over) {
                    (true, _) => Err(Ended::Cancelled),
                    (_, true) => Err(Ended::TimedOut),
                    // The kernel cancels what a thread has submitted when that thread ends. Ours does not.
                    _ => Ok(Self::entries(token, wait)),
                }
            }) {
                Some(Err(ended)) => ended,
                Some(Ok(again)) if self.submit(&again).is_ok() => return,
                Some(Ok(_)) => {
                    Ended::Failed(failed("io_uring_enter", &io::Error::from_raw_os_error(libc::EBUSY)))
                }
                None => return,
            },
            errno => Ended::Failed(
                OsError::new("io_uring futex wait", errno).advise("Is the memory still mapped?"),
            ),
        };
        self.pending.complete(token, ended);
    }
}

impl Engine for Uring {
    fn name(&self) -> &'static str {
        "io_uring"
    }

    unsafe fn submit(&self, request: Request) -> Result<(), SyncError> {
        let Request { cell, expected, timeout, token, completion } = request;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let time = Box::new(Timespec::new());
        let wait = Wait { cell, expected, deadline, cancelled: false, time };
        let pending = &self.shared.pending;
        pending.insert(token, cell.addr(), completion, wait)?;
        let entries = pending.with(token, |wait| Shared::entries(token, wait)).unwrap_or_default();
        self.shared.submit(&entries).map_err(|()| {
            pending.forget(token);
            SyncError::TooManyWaits { pending: pending.len() }
        })
    }

    fn cancel(&self, token: u64) -> bool {
        let pending = &self.shared.pending;
        if pending.with(token, |wait| wait.cancelled = true).is_none() || !pending.is_ours() {
            return false;
        }
        let cancel = opcode::AsyncCancel::new(token).build().user_data(token | ASIDE);
        let mut tries = 0;
        while self.shared.submit(std::slice::from_ref(&cancel)).is_err() && tries < TRIES {
            tries += 1;
        }
        true
    }

    fn cancel_in(&self, addresses: Range<usize>) -> usize {
        let tokens = self.shared.pending.tokens_in(&addresses);
        tokens.into_iter().filter(|&token| self.cancel(token)).count()
    }

    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool {
        self.shared.pending.wait_out(&addresses, timeout)
    }

    fn pending(&self) -> usize {
        self.shared.pending.len()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take().filter(|_| self.shared.pending.is_ours()) else {
            return;
        };
        self.cancel_in(0..usize::MAX);
        self.wait_out(0..usize::MAX, AT_LEAST);
        self.shared.ends.store(true, Ordering::Release);
        let wake = opcode::Nop::new().build().user_data(ASIDE);
        if self.shared.submit(&[wake]).is_ok() {
            // It caught the panics of completions.
            drop(thread.join());
        }
    }
}
