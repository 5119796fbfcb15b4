//! Work that is done once: a word that tells whether it has been done, or which owner does it.

use super::{
    layout::{
        once::{DONE, STATE},
        owner_word::WAITERS,
    },
    memory::{AtomicU32, Memory, Ordering},
    mutex::Acquired,
    owner::Owner,
    step::{Patience, Pause, Peers, Step},
};
use shm_lifetime::fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Once<M> {
    pub(crate) memory: M,
}

impl<'a, M: Memory<'a>> Once<M> {
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory }
    }

    #[inline]
    fn state(&self) -> &'a AtomicU32 {
        self.memory.word(STATE)
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state().load(Ordering::Acquire) == DONE
    }

    /// The owner that does it; id 0 is nobody.
    pub(crate) fn owner(&self) -> Owner {
        Owner::from_word(self.state().load(Ordering::Relaxed))
    }

    /// One attempt to become the owner that does it; `None` if it has been done.
    pub(crate) fn step(
        &self,
        owner: Owner,
        patience: &mut Patience,
        peers: impl Peers,
    ) -> Step<'a, Option<Acquired>> {
        let over = peers.is_over(patience);
        let state = self.state();
        let mut seen = state.load(Ordering::Acquire);
        loop {
            if seen == DONE {
                return Step::Ready(None);
            }
            let holder = Owner::from_word(seen);
            let takes = holder.is_nobody() || (over && !peers.is_alive(holder));
            let wanted = if takes { owner.get() | (seen & WAITERS) } else { seen | WAITERS };
            if wanted == seen {
                return Step::Wait(Pause { cell: state, expected: seen });
            }
            match state.compare_exchange_weak(seen, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if takes => {
                    fault::step();
                    return Step::Ready(Some(Acquired { owner_died: !holder.is_nobody() }));
                }
                Ok(_) => seen = wanted,
                Err(found) => seen = found,
            }
        }
    }

    /// Marks it as done, for ever.
    pub(crate) fn done(&self, owner: Owner) {
        self.end(owner, DONE);
    }

    /// It was not done; the next owner does it.
    pub(crate) fn abandon(&self, owner: Owner) {
        self.end(owner, 0);
    }

    fn end(&self, owner: Owner, wanted: u32) {
        let state = self.state();
        let mut seen = state.load(Ordering::Relaxed);
        // If it is not ours, the bytes were overwritten.
        while Owner::from_word(seen) == owner {
            match state.compare_exchange_weak(seen, wanted, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    fault::step();
                    if seen & WAITERS != 0 {
                        M::wake(state, u32::MAX);
                    }
                    return;
                }
                Err(found) => seen = found,
            }
        }
    }
}
