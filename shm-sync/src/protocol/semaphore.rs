//! One word per holder, so that a killed one is found: a semaphore's permits, the readers of a read-write lock, the
//! parties of a barrier.
//!
//! If there is no free slot, a waiter sleeps on a queue word, which counts releases as an event count does. One
//! release wakes one waiter.

use super::{
    event_count::EventCount,
    memory::{AtomicU32, Memory, Ordering},
    mutex::LockWord,
    owner::{NotOurs, Owner},
    step::{Patience, Peers, Step},
};
use shm_lifetime::fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<M> {
    pub(crate) memory: M,
    queue: u32,
    first: u32,
    count: u32,
}

/// A slot that the owner holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) slot: u32,
    /// Its previous owner died.
    pub(crate) owner_died: bool,
}

/// The state of an attempt to get a slot, between steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClaimState {
    waited: bool,
    patience: Patience,
}

impl<'a, M: Memory<'a>> Slots<M> {
    /// The queue word at byte offset `queue`, `count` slots from `first` on.
    pub(crate) fn new(memory: M, queue: u32, first: u32, count: u32) -> Self {
        Self { memory, queue, first, count }
    }

    fn queue(&self) -> EventCount<'a, M> {
        EventCount::at(self.memory, self.queue)
    }

    /// The word of a slot below the count.
    pub(crate) fn slot(&self, slot: u32) -> &'a AtomicU32 {
        self.memory.word(self.first + slot * 4)
    }

    /// The same, as what its holder holds.
    pub(crate) fn holder(&self, slot: u32) -> LockWord<'a, M> {
        LockWord::at(self.memory, self.first + slot * 4)
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    fn owners(&self) -> impl Iterator<Item = Owner> {
        (0..self.count).map(|slot| self.holder(slot).owner())
    }

    /// Whether a slot belongs to `owner`.
    pub(crate) fn has(&self, owner: Owner) -> bool {
        self.owners().any(|holder| holder == owner)
    }

    /// Whether every slot belongs to `owner`.
    pub(crate) fn are_all_of(&self, owner: Owner) -> bool {
        self.owners().all(|holder| holder == owner)
    }

    fn has_free(&self) -> bool {
        (0..self.count).any(|slot| self.slot(slot).load(Ordering::SeqCst) == 0)
    }

    /// Whether every slot is free.
    #[inline]
    pub(crate) fn are_free(&self) -> bool {
        (0..self.count).all(|slot| self.slot(slot).load(Ordering::SeqCst) == 0)
    }

    /// An error unless the slot belongs to `owner`.
    pub(crate) fn check_held(&self, slot: u32, owner: Owner) -> Result<(), NotOurs> {
        if slot < self.count {
            self.holder(slot).check_held(owner)
        } else {
            Err(NotOurs(Owner::from_word(0)))
        }
    }

    /// A free slot, if there is one. Each owner begins its search at another slot.
    #[inline]
    pub(crate) fn claim(&self, owner: Owner) -> Option<u32> {
        let start = owner.get() % self.count;
        (start..self.count).chain(0..start).find(|&slot| {
            let word = self.slot(slot);
            word.load(Ordering::SeqCst) == 0
                && word.compare_exchange(0, owner.get(), Ordering::SeqCst, Ordering::Relaxed).is_ok()
        })
    }

    /// A slot that a dead owner left.
    #[cold]
    pub(crate) fn claim_from_the_dead(&self, owner: Owner, peers: impl Peers) -> Option<u32> {
        (0..self.count).find(|&slot| {
            let seen = self.slot(slot).load(Ordering::Relaxed);
            seen != 0 && !peers.is_alive(Owner::from_word(seen)) && self.replace(slot, seen, owner.get())
        })
    }

    /// One attempt that never waits, and checks at once which owners live.
    #[inline]
    pub(crate) fn attempt(&self, owner: Owner, peers: impl Peers) -> Option<Claimed> {
        let free = self.claim(owner).map(|slot| Claimed { slot, owner_died: false });
        free.or_else(|| {
            let slot = self.claim_from_the_dead(owner, peers)?;
            Some(Claimed { slot, owner_died: true })
        })
    }

    /// Replaces what was seen in a dead owner's slot by `value`, and wakes its waiters.
    pub(crate) fn replace(&self, slot: u32, seen: u32, value: u32) -> bool {
        self.holder(slot).replace(seen, value)
    }

    /// One attempt, and if it fails, how to wait for the next.
    pub(crate) fn step(&self, owner: Owner, state: &mut ClaimState, peers: impl Peers) -> Step<'a, Claimed> {
        let over = peers.is_over(&mut state.patience);
        if let Some(slot) = self.claim(owner) {
            return Step::Ready(self.claimed(slot, state, false));
        }
        if over && let Some(slot) = self.claim_from_the_dead(owner, peers) {
            return Step::Ready(self.claimed(slot, state, true));
        }
        let expected = self.queue().announce();
        state.waited = true;
        match self.claim(owner) {
            Some(slot) => Step::Ready(self.claimed(slot, state, false)),
            None => Step::Wait(self.queue().pause(expected)),
        }
    }

    // One release wakes one sleeper and clears the flag. So a sleeper that got a slot sets the flag again for the
    // others, and passes on a slot that became free before.
    fn claimed(&self, slot: u32, state: &ClaimState, owner_died: bool) -> Claimed {
        if state.waited {
            self.queue().announce();
            if self.has_free() {
                self.queue().notify_some(1);
            }
        }
        Claimed { slot, owner_died }
    }

    /// A waiter goes to wait for something else. It may have been woken for a slot: then that is for another waiter.
    pub(crate) fn stop_waiting(&self, state: &mut ClaimState) {
        if std::mem::take(&mut state.waited) {
            self.queue().announce();
            self.queue().notify_some(1);
        }
    }

    /// Gives a slot back, if `owner` has it.
    #[inline]
    pub(crate) fn release(&self, slot: u32, owner: Owner) -> Result<(), NotOurs> {
        if slot >= self.count {
            return Err(NotOurs(Owner::from_word(0)));
        }
        let word = self.slot(slot);
        if word.compare_exchange(owner.get(), 0, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            self.holder(slot).release_to(owner, 0, u32::MAX)?;
        }
        fault::step();
        self.queue().notify_some(1);
        Ok(())
    }

    /// Gives back a slot on behalf of the owner in this process that has it.
    pub(crate) fn release_ours(&self, slot: u32, is_ours: impl Fn(Owner) -> bool) -> Result<(), NotOurs> {
        let owner = if slot < self.count { self.holder(slot).owner() } else { Owner::from_word(0) };
        if owner.is_nobody() || !is_ours(owner) {
            return Err(NotOurs(owner));
        }
        self.release(slot, owner)
    }
}
