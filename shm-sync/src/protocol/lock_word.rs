//! A word that one owner holds at a time: the heart of the mutex, of the writer's side of a read-write lock,
//! and of a channel's reservations.
//!
//! Bits 0 to 29 are the owner's id, 0 when free. Bit 30 tells that the last owner died ([`DIED`], used where
//! the word can be set free on behalf of the dead). Bit 31 tells that others may sleep on it ([`WAITERS`]).

use crate::protocol::{
    cell::{AtomicU32, Ordering},
    futex,
    step::{Patience, Pause, Step},
};
use crate::storm::may_die_here;
use crate::{Owner, SyncError};

/// Others may sleep on the word.
pub(crate) const WAITERS: u32 = 1 << 31;
/// The last owner died while holding it, and nobody has been told yet.
pub(crate) const DIED: u32 = 1 << 30;

/// The word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockWord<'a>(pub(crate) &'a AtomicU32);

/// Got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acquired {
    /// The owner before died while holding it.
    pub(crate) owner_died: bool,
}

/// What one who wants the word remembers between steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue {
    waited: bool,
    patience: Patience,
}

impl<'a> LockWord<'a> {
    /// The uncontended case.
    #[inline]
    pub(crate) fn try_acquire(self, owner: Owner) -> bool {
        self.0.compare_exchange(0, owner.get(), Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// The same for one who looks again and again, without disturbing who holds it.
    #[inline]
    pub(crate) fn try_acquire_if_free(self, owner: Owner) -> bool {
        self.0.load(Ordering::Relaxed) == 0 && self.try_acquire(owner)
    }

    /// Who holds it; id 0 is nobody.
    pub(crate) fn owner(self) -> Owner {
        Owner::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// An error unless `owner` holds it.
    #[cfg(not(loom))]
    pub(crate) fn check_held(self, owner: Owner) -> Result<(), SyncError> {
        match self.owner() {
            holder if holder == owner => Ok(()),
            holder if holder.get() == 0 => Err(SyncError::NotHeld),
            holder => Err(SyncError::NotOwner(holder)),
        }
    }

    /// One attempt, and if it fails, how to wait for the next.
    pub(crate) fn step(
        self,
        owner: Owner,
        queue: &mut Queue,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Step<'a, Acquired> {
        let over = queue.patience.is_over();
        // Whoever has waited cannot know whether others still do.
        let waiters = if queue.waited { WAITERS } else { 0 };
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let holder = Owner::from_bits(seen);
            let free = holder.get() == 0;
            let wanted = if free {
                owner.get() | waiters | (seen & WAITERS)
            } else if over && !is_alive(holder) {
                owner.get() | WAITERS
            } else if seen & WAITERS == 0 {
                seen | WAITERS
            } else {
                queue.waited = true;
                return Step::Wait(Pause { cell: self.0, expected: seen });
            };
            match self.0.compare_exchange_weak(seen, wanted, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) if Owner::from_bits(wanted) == owner && holder != owner => {
                    return Step::Ready(Acquired { owner_died: !free || seen & DIED != 0 });
                }
                Ok(_) => seen = wanted,
                Err(found) => seen = found,
            }
        }
    }

    /// One attempt that never waits. Asks at once whether the holder lives: who only ever tries would
    /// otherwise never find out.
    pub(crate) fn attempt(self, owner: Owner, is_alive: impl Fn(Owner) -> bool) -> Option<Acquired> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let holder = Owner::from_bits(seen);
            let free = holder.get() == 0;
            if !free && is_alive(holder) {
                return None;
            }
            let wanted = owner.get() | (seen & WAITERS);
            match self.0.compare_exchange_weak(seen, wanted, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Some(Acquired { owner_died: !free || seen & DIED != 0 }),
                Err(found) => seen = found,
            }
        }
    }

    /// Sets it free, if `owner` holds it, and wakes `count` of those who wait.
    #[inline]
    pub(crate) fn release(self, owner: Owner, count: u32) -> Result<(), SyncError> {
        may_die_here!();
        match self.0.compare_exchange(owner.get(), 0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(found) => self.release_slowly(owner, found, count),
        }
    }

    /// The same, leaving `flags` in the free word.
    pub(crate) fn release_to(self, owner: Owner, flags: u32, count: u32) -> Result<(), SyncError> {
        let mut seen = self.0.load(Ordering::Relaxed);
        while Owner::from_bits(seen) == owner {
            match self.0.compare_exchange_weak(seen, flags, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    if seen & WAITERS != 0 {
                        futex::wake(self.0, count);
                    }
                    return Ok(());
                }
                Err(found) => seen = found,
            }
        }
        Err(SyncError::NotHeld)
    }

    /// Sets it free on behalf of whoever of this process holds it.
    #[cfg(not(loom))]
    pub(crate) fn release_ours(self, live: &crate::Live, count: u32) -> Result<(), SyncError> {
        let owner = self.owner();
        if owner.get() == 0 {
            return Err(SyncError::NotHeld);
        }
        if !live.is_ours(owner) {
            return Err(SyncError::NotOwner(owner));
        }
        self.release(owner, count)
    }

    #[cold]
    fn release_slowly(self, owner: Owner, found: u32, count: u32) -> Result<(), SyncError> {
        match Owner::from_bits(found) {
            holder if holder == owner => {
                self.0.swap(0, Ordering::Release);
                may_die_here!();
                futex::wake(self.0, count);
                Ok(())
            }
            holder if holder.get() == 0 => Err(SyncError::NotHeld),
            holder => Err(SyncError::NotOwner(holder)),
        }
    }

    /// Sets it free on behalf of a dead owner; whoever takes it next is told. `false` if it changed meanwhile.
    pub(crate) fn bury(self, seen: u32) -> bool {
        let buried = self.0.compare_exchange(seen, DIED, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if buried {
            futex::wake(self.0, u32::MAX);
        }
        buried
    }
}
