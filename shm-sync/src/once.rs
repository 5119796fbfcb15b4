//! Something that is done once, by whichever process comes first.

use crate::protocol::{
    cell::{AtomicU32, Ordering, Words},
    futex,
    lock_word::WAITERS,
    stamp::Kind,
    step::{Deadline, Patience, Pause, drive},
};
use crate::{Live, Owner, Region, Step, SyncError, caller::Caller, live, storm::may_die_here};

const KIND: Kind = Kind { name: "once", letter: b'O' };
const STATE: u32 = 8;
const BYTE_LEN: usize = 16;
// The state is 0, the owner who is at it (and WAITERS), or this.
const DONE: u32 = 1 << 30;

/// A once-flag in shared memory. If whoever is at it is killed, the next one does it, and is told
/// ([`Turn::owner_died`]).
#[derive(Clone, Copy, Debug)]
pub struct Once<'a> {
    region: Region<'a>,
    caller: Caller,
}

impl<'a> Once<'a> {
    /// How many bytes it takes; they begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        BYTE_LEN
    }

    /// The flag at `offset`. All-zero bytes become one.
    ///
    /// # Errors
    ///
    /// Where the place is no good, or something else is there.
    pub fn open(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        region.writable()?;
        let region = region.at(offset, BYTE_LEN)?;
        region.aligned(KIND.name, 4)?;
        KIND.stamp(region, live.file_id(), &[])?;
        Ok(Self { region, caller: Caller::thread(live) })
    }

    /// The same flag, whose operations are those of `owner` from now on, and not of the thread that calls: for what
    /// acts like a thread, as a JavaScript environment does. The owner comes from [`Live::new_owner`].
    #[must_use]
    pub const fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    fn state(&self) -> &'a AtomicU32 {
        self.region.word(STATE)
    }

    /// Whether it has been done.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state().load(Ordering::Acquire) == DONE
    }

    /// Does it, unless it has been done; waits while another does it. Afterwards it has been done. If `f`
    /// panics, it has not, and is the next one's turn.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] from within `f`.
    pub fn call(&self, f: impl FnOnce(&Turn<'a>)) -> Result<(), SyncError> {
        if let Some(turn) = self.begin()? {
            f(&turn);
            turn.done();
        }
        Ok(())
    }

    /// Our turn to do it, or `None` if it has been done.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] where this thread is at it.
    pub fn begin(&self) -> Result<Option<Turn<'a>>, SyncError> {
        if self.is_done() {
            return Ok(None);
        }
        let mut beginning = self.beginning(self.caller.owner()?);
        beginning.check_deadlock()?;
        Ok(drive(Deadline::Never, || beginning.step())?.flatten())
    }

    /// [`begin`](Self::begin) in steps, for an event loop, on behalf of any owner of this process.
    pub fn beginning(&self, owner: Owner) -> Beginning<'a> {
        Beginning { once: *self, owner, patience: Patience::default() }
    }
}

/// A turn in the making: see [`Once::beginning`].
#[derive(Debug)]
pub struct Beginning<'a> {
    once: Once<'a>,
    owner: Owner,
    patience: Patience,
}

impl<'a> Beginning<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn step(&mut self) -> Result<Step<'a, Option<Turn<'a>>>, SyncError> {
        let over = self.patience.is_over();
        let state = self.once.state();
        let mut seen = state.load(Ordering::Acquire);
        loop {
            if seen == DONE {
                return Ok(Step::Ready(None));
            }
            let holder = Owner::from_bits(seen);
            let takes = holder.get() == 0 || (over && !self.once.caller.is_alive(holder));
            let wanted = if takes { self.owner.get() | (seen & WAITERS) } else { seen | WAITERS };
            if wanted == seen {
                return Ok(Step::Wait(Pause { cell: state, expected: seen }));
            }
            match state.compare_exchange_weak(seen, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if takes => {
                    may_die_here!();
                    let owner_died = holder.get() != 0;
                    let (state, owner, era) = (state, self.owner, live::era());
                    return Ok(Step::Ready(Some(Turn { state, owner, era, owner_died })));
                }
                Ok(_) => seen = wanted,
                Err(found) => seen = found,
            }
        }
    }

    /// An error where one who blocks here would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] where the owner is at it.
    pub fn check_deadlock(&self) -> Result<(), SyncError> {
        let holder = Owner::from_bits(self.once.state().load(Ordering::Relaxed));
        if holder == self.owner { Err(SyncError::Deadlock) } else { Ok(()) }
    }
}

/// It is ours to do. Dropped before it is [`done`](Self::done), it is the next one's turn.
#[derive(Debug)]
#[must_use = "say done() when it is"]
pub struct Turn<'a> {
    state: &'a AtomicU32,
    owner: Owner,
    era: u32,
    owner_died: bool,
}

impl Turn<'_> {
    /// Whether another died while doing it: it may be half done.
    pub const fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// It is done, for ever.
    pub fn done(self) {
        self.end(DONE);
        std::mem::forget(self);
    }

    fn end(&self, state: u32) {
        let mut seen = self.state.load(Ordering::Relaxed);
        // If it is not ours, the bytes were overwritten, or we are the child of a fork.
        while Owner::from_bits(seen) == self.owner && self.era == live::era() {
            match self.state.compare_exchange_weak(seen, state, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    may_die_here!();
                    if seen & WAITERS != 0 {
                        futex::wake(self.state, u32::MAX);
                    }
                    return;
                }
                Err(found) => seen = found,
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.end(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Memory, live};
    use std::sync::atomic::AtomicU32;

    #[test]
    fn it_is_done_once_and_all_wait_until_it_is() {
        let memory = Memory::new(64);
        let count = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let once = Once::open(memory.region(), 0, live()).unwrap();
                    once.call(|turn| {
                        assert!(!turn.owner_died());
                        std::thread::sleep(std::time::Duration::from_millis(15));
                        count.fetch_add(1, Ordering::Relaxed);
                    })
                    .unwrap();
                    assert_eq!(count.load(Ordering::Relaxed), 1);
                });
            }
        });
    }

    #[test]
    fn a_panic_leaves_it_to_the_next() {
        let memory = Memory::new(64);
        let once = Once::open(memory.region(), 0, live()).unwrap();
        let panics = std::panic::AssertUnwindSafe(|| once.call(|_| std::panic::resume_unwind(Box::new(()))));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(!once.is_done());
        once.call(|_| {}).unwrap();
        assert!(once.is_done() && once.begin().unwrap().is_none());
    }

    #[test]
    fn doing_it_within_itself_is_an_error() {
        let memory = Memory::new(64);
        let once = Once::open(memory.region(), 0, live()).unwrap();
        once.call(|_| assert_eq!(once.call(|_| {}), Err(SyncError::Deadlock))).unwrap();
    }

    #[test]
    fn what_a_dead_owner_began_is_done_again() {
        let memory = Memory::new(64);
        let once = Once::open(memory.region(), 0, live()).unwrap();
        once.state().store(Owner::MAX, Ordering::Relaxed);
        once.call(|turn| assert!(turn.owner_died())).unwrap();
        assert!(once.is_done());
    }
}
