//! Work that is done once across processes, by the first caller.

use crate::protocol::{
    layout::once::{SIZE, STRUCTURE},
    mutex::Acquired,
    once,
    step::Patience,
};
use crate::{Live, Owner, Region, Step, SyncError, block::block, caller::Caller, live, place};

/// A once-flag in shared memory. If the process that does the work is killed, the next caller does it, and is told
/// ([`Turn::owner_died`]).
#[derive(Clone, Copy, Debug)]
pub struct Once<'a> {
    once: once::Once<Region<'a>>,
    caller: Caller,
}

impl<'a> Once<'a> {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        SIZE as usize
    }

    /// Opens the flag at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If the place is outside the region or misaligned, or the bytes there are something else.
    pub fn open(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let place = place::open(STRUCTURE, region, offset, Self::byte_len(), live, &[])?;
        Ok(Self { once: once::Once::new(place), caller: Caller::thread(live) })
    }

    /// Returns the same flag, but with `owner` as the owner of its operations, and not the calling thread. This is for
    /// something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Whether the work has been done.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.once.is_done()
    }

    /// Runs `f` once across processes; blocks while another process runs it. If `f` panics, the next caller runs its
    /// own.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if it is called within `f`.
    pub fn call(&self, f: impl FnOnce(&Turn<'a>)) -> Result<(), SyncError> {
        if let Some(turn) = self.begin()? {
            f(&turn);
            turn.done();
        }
        Ok(())
    }

    /// Takes the turn to do the work; `None` if the work has been done.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if this thread has the turn already.
    pub fn begin(&self) -> Result<Option<Turn<'a>>, SyncError> {
        if self.is_done() {
            return self.once.memory.sound(None);
        }
        let mut beginning = self.beginning(self.caller.owner()?);
        beginning.check_deadlock()?;
        block(|| beginning.step())
    }

    /// As [`begin`](Self::begin), in steps, for an event loop, on behalf of any owner of this process.
    pub fn beginning(&self, owner: Owner) -> Beginning<'a> {
        Beginning { once: *self, owner, generation: live::generation(), patience: Patience::default() }
    }
}

/// A begin operation in progress: see [`Once::beginning`].
#[derive(Debug)]
pub struct Beginning<'a> {
    once: Once<'a>,
    owner: Owner,
    generation: u32,
    patience: Patience,
}

impl<'a> Beginning<'a> {
    /// Takes the next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Shrunk`]; [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, Option<Turn<'a>>>, SyncError> {
        live::check_generation(self.generation)?;
        let Once { once, caller } = self.once;
        let (owner, generation) = (self.owner, self.generation);
        let turn = |Acquired { owner_died }| Turn { once, owner, generation, owner_died };
        let step = once.step(owner, &mut self.patience, caller);
        once.memory.sound(step.map(|acquired| acquired.map(turn)))
    }

    /// Returns an error if a caller that blocks here would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if the owner has the turn already.
    pub fn check_deadlock(&self) -> Result<(), SyncError> {
        let once = self.once.once;
        once.memory.sound_result(if once.owner() == self.owner { Err(SyncError::Deadlock) } else { Ok(()) })
    }
}

/// The right to do the work. If it is dropped before [`done`](Self::done), the next caller gets it.
#[derive(Debug)]
#[must_use = "say done() when it is"]
pub struct Turn<'a> {
    once: once::Once<Region<'a>>,
    owner: Owner,
    generation: u32,
    owner_died: bool,
}

impl Turn<'_> {
    /// Whether the previous owner of the turn died: the work may be half done.
    pub const fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Marks the work as done. Nobody does it again.
    pub fn done(self) {
        if self.is_ours() {
            self.once.done(self.owner);
        }
        std::mem::forget(self);
    }

    // The child of a fork has a copy of this object, but the parent has the turn.
    fn is_ours(&self) -> bool {
        self.generation == live::generation()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_ours() {
            self.once.abandon(self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::layout::once::STATE;
    use crate::testing::{Memory, live};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_work_is_done_once_and_all_wait_for_it() {
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
    fn a_panic_leaves_the_work_to_the_next_caller() {
        let memory = Memory::new(64);
        let once = Once::open(memory.region(), 0, live()).unwrap();
        let panics = std::panic::AssertUnwindSafe(|| once.call(|_| std::panic::resume_unwind(Box::new(()))));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(!once.is_done());
        once.call(|_| {}).unwrap();
        assert!(once.is_done() && once.begin().unwrap().is_none());
    }

    #[test]
    fn a_call_within_the_work_is_an_error() {
        let memory = Memory::new(64);
        let once = Once::open(memory.region(), 0, live()).unwrap();
        once.call(|_| assert_eq!(once.call(|_| {}), Err(SyncError::Deadlock))).unwrap();
    }

    #[test]
    fn work_that_a_dead_owner_began_is_done_again() {
        let memory = Memory::new(64);
        let once = Once::open(memory.region(), 0, live()).unwrap();
        memory.region().cell(STATE as usize).unwrap().store(Owner::MAX, Ordering::Relaxed);
        once.call(|turn| assert!(turn.owner_died())).unwrap();
        assert!(once.is_done());
    }
}
