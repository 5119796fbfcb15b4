//! A word that one owner holds at a time: the mutex, the writer's side of a read-write lock, a channel's lock among
//! producers, and the words of the roles: the only producer, the consumer. [`owner_word`] has its bits.

use super::{
    layout::owner_word::{DIED, WAITERS},
    memory::{AtomicU32, Memory, Ordering},
    owner::{NotOurs, Owner},
    step::{Patience, Pause, Peers, Step},
};
use shm_lifetime::fault;
use std::{marker::PhantomData, ptr::NonNull};

/// The word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockWord<'a, M> {
    word: &'a AtomicU32,
    memory: PhantomData<M>,
}

/// It was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acquired {
    /// The previous owner died while holding it.
    pub(crate) owner_died: bool,
}

/// The state of an attempt to lock, between steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LockState {
    waited: bool,
    patience: Patience,
}

impl LockState {
    /// Whether it counts as a sleeper.
    pub(crate) const fn has_waited(&self) -> bool {
        self.waited
    }
}

impl<'a, M: Memory<'a>> LockWord<'a, M> {
    #[inline]
    pub(crate) fn at(memory: M, offset: u32) -> Self {
        Self { word: memory.word(offset), memory: PhantomData }
    }

    /// Where it is.
    pub(crate) fn place(self) -> NonNull<AtomicU32> {
        NonNull::from(self.word)
    }

    #[inline]
    pub(crate) fn load(self, order: Ordering) -> u32 {
        self.word.load(order)
    }

    /// The uncontended case.
    #[inline]
    pub(crate) fn try_acquire(self, owner: Owner) -> bool {
        self.word.compare_exchange(0, owner.get(), Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// The same for a caller that polls, without disturbing the holder.
    #[inline]
    pub(crate) fn try_acquire_if_free(self, owner: Owner) -> bool {
        self.word.load(Ordering::Relaxed) == 0 && self.try_acquire(owner)
    }

    /// Its owner; id 0 is nobody.
    pub(crate) fn owner(self) -> Owner {
        Owner::from_word(self.word.load(Ordering::Relaxed))
    }

    /// An error unless `owner` holds it.
    pub(crate) fn check_held(self, owner: Owner) -> Result<(), NotOurs> {
        match self.owner() {
            holder if holder == owner => Ok(()),
            holder => Err(NotOurs(holder)),
        }
    }

    /// Whether its owner died, or panicked, and nobody has been told.
    pub(crate) fn is_left_behind(self, peers: impl Peers) -> bool {
        let seen = self.word.load(Ordering::Relaxed);
        let holder = Owner::from_word(seen);
        if holder.is_nobody() { seen & DIED != 0 } else { !peers.is_alive(holder) }
    }

    /// One attempt, and if it fails, how to wait for the next.
    pub(crate) fn step(self, owner: Owner, state: &mut LockState, peers: impl Peers) -> Step<'a, Acquired> {
        let over = peers.is_over(&mut state.patience);
        // After a wait, it is not known whether others still wait.
        let waiters = if state.waited { WAITERS } else { 0 };
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let holder = Owner::from_word(seen);
            let free = holder.is_nobody();
            let wanted = if free {
                owner.get() | waiters | (seen & WAITERS)
            } else if over && !peers.is_alive(holder) {
                owner.get() | WAITERS
            } else if seen & WAITERS == 0 {
                seen | WAITERS
            } else {
                state.waited = true;
                return Step::Wait(Pause { cell: self.word, expected: seen });
            };
            match self.word.compare_exchange_weak(seen, wanted, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) if Owner::from_word(wanted) == owner && holder != owner => {
                    return Step::Ready(Acquired { owner_died: !free || seen & DIED != 0 });
                }
                Ok(_) => seen = wanted,
                Err(found) => seen = found,
            }
        }
    }

    /// Sleeps on the word while it is held: sets [`WAITERS`] on what was seen. `None` if it changed.
    pub(crate) fn wait_while(self, seen: u32) -> Option<Pause<'a>> {
        let expected = seen | WAITERS;
        let is_set = seen == expected
            || self.word.compare_exchange(seen, expected, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        is_set.then_some(Pause { cell: self.word, expected })
    }

    /// One attempt that never waits. It checks at once whether the holder lives: a caller that only tries would
    /// otherwise never find out.
    pub(crate) fn attempt(self, owner: Owner, peers: impl Peers) -> Option<Acquired> {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let holder = Owner::from_word(seen);
            let free = holder.is_nobody();
            if !free && peers.is_alive(holder) {
                return None;
            }
            let wanted = owner.get() | (seen & WAITERS);
            match self.word.compare_exchange_weak(seen, wanted, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Some(Acquired { owner_died: !free || seen & DIED != 0 }),
                Err(found) => seen = found,
            }
        }
    }

    /// Sets it free, if `owner` holds it, and wakes `count` waiters.
    #[inline]
    pub(crate) fn release(self, owner: Owner, count: u32) -> Result<(), NotOurs> {
        fault::step();
        match self.word.compare_exchange(owner.get(), 0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(_) => self.release_to(owner, 0, count),
        }
    }

    /// The same, leaving `flags` in the free word. Another thread of the process may do it at the same time; one of
    /// them succeeds.
    #[cold]
    pub(crate) fn release_to(self, owner: Owner, flags: u32, count: u32) -> Result<(), NotOurs> {
        let mut seen = self.word.load(Ordering::Relaxed);
        while Owner::from_word(seen) == owner {
            match self.word.compare_exchange_weak(seen, flags, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => {
                    fault::step();
                    if seen & WAITERS != 0 {
                        M::wake(self.word, count);
                    }
                    return Ok(());
                }
                Err(found) => seen = found,
            }
        }
        Err(NotOurs(Owner::from_word(seen)))
    }

    /// Sets it free, if `owner` holds it, and wakes `count` waiters; the next owner is told as after a death.
    #[cold]
    pub(crate) fn release_as_dead(self, owner: Owner, count: u32) -> Result<(), NotOurs> {
        self.release_to(owner, DIED, count)
    }

    /// Sets it free on behalf of the owner in this process that holds it.
    pub(crate) fn release_ours(self, is_ours: impl Fn(Owner) -> bool, count: u32) -> Result<(), NotOurs> {
        let owner = self.owner();
        if owner.is_nobody() || !is_ours(owner) {
            return Err(NotOurs(owner));
        }
        self.release(owner, count)
    }

    /// Replaces a dead owner, as it was seen, by `value`, and wakes its waiters. `false` if it changed.
    pub(crate) fn replace(self, seen: u32, value: u32) -> bool {
        let replaced = self.word.compare_exchange(seen, value, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if replaced && seen & WAITERS != 0 {
            M::wake(self.word, u32::MAX);
        }
        replaced
    }

    /// Sets it free on behalf of a dead owner; the next owner is told. `false` if it changed meanwhile.
    pub(crate) fn bury(self, seen: u32) -> bool {
        let buried = self.word.compare_exchange(seen, DIED, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if buried {
            // The dead owner may have died before it woke the waiters of its predecessor, and so without the flag.
            M::wake(self.word, u32::MAX);
        }
        buried
    }
}
