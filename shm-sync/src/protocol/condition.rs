//! A condition: a sequence, which each notification raises and on which waiters sleep, and the number of waiters.

use super::{
    layout::condition::{SEQUENCE, WAITERS},
    memory::{AtomicU32, Memory, Ordering},
    mutex::{Acquired, LockState, LockWord},
    owner::{NotOurs, Owner},
    step::{Patience, Pause, Peers, Step},
};
use shm_lifetime::fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition<M> {
    pub(crate) memory: M,
}

/// The state of a wait, between steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitState {
    seen: u32,
    is_counted: bool,
    notified: bool,
    patience: Patience,
    lock: LockState,
}

impl WaitState {
    /// Whether the wait ended before it was given up.
    pub(crate) const fn is_notified(&self) -> bool {
        self.notified
    }
}

impl<'a, M: Memory<'a>> Condition<M> {
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory }
    }

    fn sequence(&self) -> &'a AtomicU32 {
        self.memory.word(SEQUENCE)
    }

    fn waiters(&self) -> &'a AtomicU32 {
        self.memory.word(WAITERS)
    }

    /// Begins to wait, and unlocks the mutex. A process that changes the protected data locks the mutex after this,
    /// and so sees that there is a waiter. Earlier notifications do not count.
    pub(crate) fn begin(&self, mutex: LockWord<'a, M>, owner: Owner) -> Result<WaitState, NotOurs> {
        self.waiters().fetch_add(1, Ordering::SeqCst);
        fault::step();
        let seen = self.sequence().load(Ordering::SeqCst);
        let (patience, lock) = (Patience::default(), LockState::default());
        let mut state = WaitState { seen, is_counted: true, notified: false, patience, lock };
        mutex.release(owner, 1).inspect_err(|_| self.give_up(&mut state))?;
        Ok(state)
    }

    /// Waits for a notification, and then for the mutex.
    pub(crate) fn step(
        &self,
        state: &mut WaitState,
        mutex: LockWord<'a, M>,
        owner: Owner,
        peers: impl Peers,
    ) -> Step<'a, Acquired> {
        if state.is_counted {
            let cell = self.sequence();
            // A dead owner of the mutex may have been about to notify.
            let is_notified = cell.load(Ordering::SeqCst) != state.seen
                || (peers.is_over(&mut state.patience) && mutex.is_left_behind(peers));
            if !is_notified {
                return Step::Wait(Pause { cell, expected: state.seen });
            }
            state.notified = true;
            self.give_up(state);
        }
        mutex.step(owner, &mut state.lock, peers).map(|acquired| {
            if acquired.owner_died {
                // The other waiters no longer see a dead owner, and its notification may have been for them.
                self.notify(u32::MAX);
            }
            acquired
        })
    }

    /// No longer waits for a notification: the next steps lock the mutex again.
    pub(crate) fn give_up(&self, state: &mut WaitState) {
        if std::mem::take(&mut state.is_counted) {
            self.waiters().fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Wakes at most `count` waiters; tells how many slept.
    pub(crate) fn notify(&self, count: u32) -> usize {
        fault::step();
        self.sequence().fetch_add(1, Ordering::SeqCst);
        fault::step();
        if self.waiters().load(Ordering::SeqCst) == 0 {
            return 0;
        }
        M::wake(self.sequence(), count)
    }
}
