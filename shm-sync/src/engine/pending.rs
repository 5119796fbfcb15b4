//! The waits that an engine has pending.

use super::{Completion, Ended, MOST_PENDING};
use crate::SyncError;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::HashMap,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// By token, with what the engine keeps of each.
#[derive(Debug)]
pub(super) struct Pending<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
    process: u32,
}

#[derive(Debug)]
struct State<T> {
    waits: HashMap<u64, Wait<T>>,
    // The addresses of waits whose completions are being called.
    completing: Vec<usize>,
}

impl<T> State<T> {
    fn has_any_in(&self, addresses: &Range<usize>) -> bool {
        let pending = self.waits.values().map(|wait| &wait.address);
        pending.chain(&self.completing).any(|address| addresses.contains(address))
    }
}

struct Wait<T> {
    address: usize,
    completion: Completion,
    kept: T,
}

impl<T> std::fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wait").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<T> Pending<T> {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State { waits: HashMap::new(), completing: Vec::new() });
        Self { state, ended: Condvar::new(), process: std::process::id() }
    }

    pub(super) fn insert(
        &self,
        token: u64,
        address: usize,
        completion: Completion,
        kept: T,
    ) -> Result<(), SyncError> {
        if token >= 1 << 63 {
            let must = "below 2^63";
            return Err(SyncError::OutOfRange { option: "the token", value: token, must });
        }
        // A fork's child has a copy of the engine, but not its thread.
        if self.process != std::process::id() {
            return Err(SyncError::Forked);
        }
        let waits = &mut self.state.lock().waits;
        if waits.len() >= MOST_PENDING {
            return Err(SyncError::TooManyWaits { pending: waits.len() });
        }
        if waits.contains_key(&token) {
            return Err(SyncError::TokenInUse(token));
        }
        waits.insert(token, Wait { address, completion, kept });
        Ok(())
    }

    /// Looks at what is kept of a pending wait.
    pub(super) fn with<R>(&self, token: u64, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.state.lock().waits.get_mut(&token).map(|wait| f(&mut wait.kept))
    }

    /// Takes a wait back that could not be begun.
    pub(super) fn forget(&self, token: u64) {
        self.state.lock().waits.remove(&token);
        self.ended.notify_all();
    }

    pub(super) fn complete(&self, token: u64, ended: Ended) {
        let mut state = self.state.lock();
        let Some(wait) = state.waits.remove(&token) else { return };
        state.completing.push(wait.address);
        drop(state);
        // A panic of the caller's must not end the other waits; its message has been printed.
        drop(catch_unwind(AssertUnwindSafe(|| (wait.completion)(ended))));
        let completing = &mut self.state.lock().completing;
        if let Some(at) = completing.iter().position(|&address| address == wait.address) {
            completing.swap_remove(at);
        }
        self.ended.notify_all();
    }

    pub(super) fn tokens_in(&self, addresses: &Range<usize>) -> Vec<u64> {
        let waits = &self.state.lock().waits;
        let inside = waits.iter().filter(|(_, wait)| addresses.contains(&wait.address));
        inside.map(|(&token, _)| token).collect()
    }

    pub(super) fn wait_out(&self, addresses: &Range<usize>, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout.min(Duration::from_secs(1 << 30));
        let mut state = self.state.lock();
        while state.has_any_in(addresses) {
            if self.ended.wait_until(&mut state, deadline).timed_out() {
                return !state.has_any_in(addresses);
            }
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().waits.len()
    }

    /// Whether this process is the one that made it, and not a fork's child.
    pub(super) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}
