//! One word per holder, so that a killed one is found: what a semaphore is made of, and the readers' side of
//! a read-write lock.
//!
//! First a queue word: bit 0 tells that someone may sleep on it, the rest counts releases. Then the holders'
//! words: an owner id, or 0; [`WAITERS`] in one tells that someone sleeps on it.

use crate::protocol::{
    cell::{AtomicU32, Ordering, Words},
    futex,
    lock_word::{LockWord, WAITERS},
    stamp::Kind,
    step::{Patience, Pause, Step},
};
use crate::{Owner, SyncError, storm::may_die_here};

const SLEEPERS: u32 = 1;

/// The most holders that a structure can have.
pub(crate) const MAX: u32 = 1 << 16;

/// Checks the number of slots that a user asks for.
pub(crate) fn check(option: &'static str, count: u32) -> Result<(), SyncError> {
    if (1..=MAX).contains(&count) {
        return Ok(());
    }
    Err(SyncError::OutOfRange { option, value: count.into(), must: "1 to 65536" })
}

/// How many slots the structure at `offset` was made with; an error where there is none.
#[cfg(not(loom))]
pub(crate) fn found(
    kind: Kind,
    region: crate::Region<'_>,
    offset: usize,
    option: u32,
    live: &crate::Live,
    most: u32,
) -> Result<u32, SyncError> {
    region.writable()?;
    let header = region.at(offset, option as usize + 4)?;
    header.aligned(kind.name, 4)?;
    kind.check(header, live.file_id())?;
    let count = header.word(option).load(Ordering::Relaxed);
    if (1..=most).contains(&count) {
        return Ok(count);
    }
    Err(SyncError::Damaged { what: kind.name, how: "its number of holders is impossible" })
}

/// Gives back a slot on behalf of whoever of this process has it.
#[cfg(not(loom))]
pub(crate) fn release_ours(
    slots: &Slots<crate::Region<'_>>,
    slot: u32,
    live: &crate::Live,
) -> Result<(), SyncError> {
    if slot >= slots.count {
        return Err(SyncError::NotHeld);
    }
    let owner = Owner::from_bits(slots.slot(slot).load(Ordering::Relaxed));
    if owner.get() == 0 {
        return Err(SyncError::NotHeld);
    }
    if !live.is_ours(owner) {
        return Err(SyncError::NotOwner(owner));
    }
    slots.release(slot, owner)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<W> {
    words: W,
    queue: u32,
    first: u32,
    count: u32,
}

/// A slot that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) slot: u32,
    /// A dead owner had it before.
    pub(crate) owner_died: bool,
}

/// What one who wants a slot remembers between steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    waited: bool,
    patience: Patience,
}

impl<'a, W: Words<'a>> Slots<W> {
    /// The queue word at byte offset `queue`, `count` slots from `first` on.
    pub(crate) fn new(words: W, queue: u32, first: u32, count: u32) -> Self {
        Self { words, queue, first, count }
    }

    fn queue(&self) -> &'a AtomicU32 {
        self.words.word(self.queue)
    }

    /// The word of a slot below the count.
    pub(crate) fn slot(&self, slot: u32) -> &'a AtomicU32 {
        self.words.word(self.first + slot * 4)
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Whether a slot belongs to `owner`.
    pub(crate) fn has(&self, owner: Owner) -> bool {
        (0..self.count).any(|slot| Owner::from_bits(self.slot(slot).load(Ordering::Relaxed)) == owner)
    }

    /// An error unless the slot belongs to `owner`.
    #[cfg(not(loom))]
    pub(crate) fn check_held(&self, slot: u32, owner: Owner) -> Result<(), SyncError> {
        if slot >= self.count {
            return Err(SyncError::NotHeld);
        }
        LockWord(self.slot(slot)).check_held(owner)
    }

    /// Whether every slot belongs to `owner`.
    #[cfg(not(loom))]
    pub(crate) fn are_all_of(&self, owner: Owner) -> bool {
        (0..self.count).all(|slot| Owner::from_bits(self.slot(slot).load(Ordering::Relaxed)) == owner)
    }

    pub(crate) fn has_free(&self) -> bool {
        (0..self.count).any(|slot| self.slot(slot).load(Ordering::SeqCst) == 0)
    }

    /// A free slot, if there is one. Each owner looks at another place first.
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
    pub(crate) fn claim_from_the_dead(&self, owner: Owner, is_alive: impl Fn(Owner) -> bool) -> Option<u32> {
        (0..self.count).find(|&slot| {
            let seen = self.slot(slot).load(Ordering::Relaxed);
            seen != 0 && !is_alive(Owner::from_bits(seen)) && self.replace(slot, seen, owner.get())
        })
    }

    /// Puts `value` in place of what was seen in a dead owner's slot, and wakes who waited for it to go.
    pub(crate) fn replace(&self, slot: u32, seen: u32, value: u32) -> bool {
        let word = self.slot(slot);
        let replaced = word.compare_exchange(seen, value, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if replaced && seen & WAITERS != 0 {
            futex::wake(word, u32::MAX);
        }
        replaced
    }

    /// One attempt, and if it fails, how to wait for the next.
    pub(crate) fn step(
        &self,
        owner: Owner,
        waiting: &mut Waiting,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Step<'a, Claimed> {
        let over = waiting.patience.is_over();
        if let Some(slot) = self.claim(owner) {
            return Step::Ready(self.claimed(slot, waiting, false));
        }
        if over && let Some(slot) = self.claim_from_the_dead(owner, is_alive) {
            return Step::Ready(self.claimed(slot, waiting, true));
        }
        let expected = self.queue().fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS;
        waiting.waited = true;
        match self.claim(owner) {
            Some(slot) => Step::Ready(self.claimed(slot, waiting, false)),
            None => Step::Wait(Pause { cell: self.queue(), expected }),
        }
    }

    // One release wakes one sleeper and takes the flag down: whoever has slept puts it up again for the
    // others, and passes on what came free before that.
    fn claimed(&self, slot: u32, waiting: &Waiting, owner_died: bool) -> Claimed {
        if waiting.waited {
            self.queue().fetch_or(SLEEPERS, Ordering::SeqCst);
            if self.has_free() {
                self.signal();
            }
        }
        Claimed { slot, owner_died }
    }

    /// Gives a slot back, if `owner` has it.
    #[inline]
    pub(crate) fn release(&self, slot: u32, owner: Owner) -> Result<(), SyncError> {
        if slot >= self.count {
            return Err(SyncError::NotHeld);
        }
        let word = self.slot(slot);
        if let Err(found) = word.compare_exchange(owner.get(), 0, Ordering::SeqCst, Ordering::Relaxed) {
            match Owner::from_bits(found) {
                holder if holder == owner => {
                    word.swap(0, Ordering::SeqCst);
                    futex::wake(word, u32::MAX);
                }
                holder if holder.get() == 0 => return Err(SyncError::NotHeld),
                holder => return Err(SyncError::NotOwner(holder)),
            }
        }
        may_die_here!();
        if self.queue().load(Ordering::SeqCst) & SLEEPERS != 0 {
            self.signal();
        }
        Ok(())
    }

    #[cold]
    fn signal(&self) {
        let queue = self.queue();
        let mut seen = queue.load(Ordering::Relaxed);
        while seen & SLEEPERS != 0 {
            let next = seen.wrapping_add(2) & !SLEEPERS;
            match queue.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => {
                    may_die_here!();
                    futex::wake(queue, 1);
                    return;
                }
                Err(found) => seen = found,
            }
        }
    }
}
