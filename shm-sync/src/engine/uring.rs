//! One thread for all waits, through `io_uring`.

use super::{Engine, Polled, Request, polled::failed};
use crate::SyncError;
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

const STACK: usize = 64 << 10;

/// A [`Polled`], and a thread that harvests it.
#[derive(Debug)]
pub struct Uring {
    ring: Arc<Polled>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl Uring {
    /// Makes an engine with nothing pending.
    ///
    /// # Errors
    ///
    /// As [`Polled::new`], and if the thread cannot be started.
    pub fn new() -> Result<Self, SyncError> {
        let (ring, ends) = (Arc::new(Polled::new()?), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new().name("shm-sync uring".into()).stack_size(STACK);
        let thread = thread
            .spawn({
                let (ring, ends) = (ring.clone(), ends.clone());
                move || run(&ring, &ends)
            })
            .map_err(|error| failed("clone", &error))?;
        Ok(Self { ring, ends, thread: Some(thread), process: std::process::id() })
    }
}

fn run(ring: &Polled, ends: &AtomicBool) {
    while !ends.load(Ordering::Acquire) {
        if ring.wait_for_one().is_err() {
            std::thread::yield_now();
        }
        ring.harvest();
    }
}

impl Engine for Uring {
    fn name(&self) -> &'static str {
        "io_uring"
    }

    unsafe fn submit(&self, request: Request) -> Result<(), SyncError> {
        // SAFETY: by our caller's promise.
        unsafe { self.ring.submit(request) }
    }

    fn cancel(&self, token: u64) -> bool {
        self.ring.cancel(token)
    }

    fn cancel_in(&self, addresses: Range<usize>) -> usize {
        self.ring.cancel_in(addresses)
    }

    fn wait_out(&self, addresses: Range<usize>, timeout: Duration) -> bool {
        self.ring.wait_out(addresses, timeout)
    }

    fn pending(&self) -> usize {
        self.ring.pending()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // A fork's child has no such thread.
        let thread = self.thread.take().filter(|_| self.process == std::process::id());
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = thread
            && self.ring.wake()
        {
            // It caught the panics of completions. The ring itself ends what is still pending.
            drop(thread.join());
        }
    }
}
