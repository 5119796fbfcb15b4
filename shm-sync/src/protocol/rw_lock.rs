//! A word for the writer, and slots for the readers.

use super::{
    layout::{
        owner_word::DIED,
        rw_lock::{QUEUE, SLOTS, WRITER},
    },
    memory::{Memory, Ordering},
    mutex::{Acquired, LockState, LockWord},
    owner::{NotOurs, Owner},
    semaphore::{ClaimState, Slots},
    step::{Patience, Pause, Peers, Step},
};
use shm_lifetime::fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RwLock<M> {
    pub(crate) memory: M,
    readers: Slots<M>,
}

/// A slot for reading that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) slot: u32,
    /// The last writer died, and no other has written since.
    pub(crate) owner_died: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadState {
    slot: ClaimState,
    writer: Patience,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteState {
    lock: LockState,
    readers: Patience,
    // The word is ours already, and we wait for readers to leave.
    acquired: Option<Acquired>,
}

impl<'a, M: Memory<'a>> RwLock<M> {
    pub(crate) fn new(memory: M, readers: u32) -> Self {
        Self { memory, readers: Slots::new(memory, QUEUE, SLOTS, readers) }
    }

    pub(crate) const fn readers(&self) -> &Slots<M> {
        &self.readers
    }

    #[inline]
    pub(crate) fn writer(&self) -> LockWord<'a, M> {
        LockWord::at(self.memory, WRITER)
    }

    /// A slot, if there is no writer. A reader takes its slot first, and then looks for a writer. A writer does it the
    /// other way round. So one of the two sees the other.
    #[inline]
    pub(crate) fn try_read(&self, owner: Owner) -> Option<Read> {
        if !self.writer().owner().is_nobody() {
            return None;
        }
        let slot = self.readers.claim(owner)?;
        self.look_for_writer(slot, owner)
    }

    #[inline]
    fn look_for_writer(&self, slot: u32, owner: Owner) -> Option<Read> {
        fault::step();
        let seen = self.writer().load(Ordering::SeqCst);
        if Owner::from_word(seen).is_nobody() {
            return Some(Read { slot, owner_died: seen & DIED != 0 });
        }
        self.end_read(slot, owner);
        None
    }

    /// The same, and checks at once which owners live.
    #[inline]
    pub(crate) fn attempt_read(&self, owner: Owner, peers: impl Peers) -> Option<Read> {
        self.try_read(owner).or_else(|| {
            self.bury_the_dead(peers);
            self.try_read(owner)
        })
    }

    pub(crate) fn read_step(&self, owner: Owner, state: &mut ReadState, peers: impl Peers) -> Step<'a, Read> {
        let over = peers.is_over(&mut state.writer);
        let word = self.writer();
        loop {
            let seen = word.load(Ordering::SeqCst);
            let writer = Owner::from_word(seen);
            if writer.is_nobody() {
                match self.readers.step(owner, &mut state.slot, peers) {
                    Step::Wait(pause) => return Step::Wait(pause),
                    Step::Ready(claimed) => match self.look_for_writer(claimed.slot, owner) {
                        Some(read) => return Step::Ready(read),
                        None => continue,
                    },
                }
            }
            if over && !peers.is_alive(writer) {
                word.bury(seen);
                continue;
            }
            if let Some(pause) = word.wait_while(seen) {
                self.readers.stop_waiting(&mut state.slot);
                return Step::Wait(pause);
            }
        }
    }

    /// Whether a caller that blocks until it reads, for ever or for some time, would wait for itself.
    pub(crate) fn read_waits_for_itself(&self, owner: Owner, for_ever: bool) -> bool {
        let writer = self.writer().owner();
        let waits_for_us = !writer.is_nobody() && self.readers.has(owner);
        writer == owner || waits_for_us || (for_ever && self.readers.are_all_of(owner))
    }

    #[inline]
    pub(crate) fn end_read(&self, slot: u32, owner: Owner) {
        // An error means that the bytes were overwritten; then there is nothing of ours to end.
        drop(self.readers.release(slot, owner));
    }

    #[inline]
    pub(crate) fn try_write(&self, owner: Owner) -> bool {
        if !self.writer().try_acquire(owner) {
            return false;
        }
        self.readers.are_free() || {
            self.end_write(owner);
            false
        }
    }

    /// The same, and checks at once which owners live.
    #[inline]
    pub(crate) fn attempt_write(&self, owner: Owner, peers: impl Peers) -> Option<Acquired> {
        if self.try_write(owner) {
            return Some(Acquired { owner_died: false });
        }
        self.bury_the_dead(peers);
        let acquired = self.writer().attempt(owner, peers)?;
        if self.readers.are_free() {
            return Some(acquired);
        }
        self.give_word_back(owner, acquired);
        None
    }

    pub(crate) fn write_step(
        &self,
        owner: Owner,
        state: &mut WriteState,
        peers: impl Peers,
    ) -> Step<'a, Acquired> {
        let acquired = match state.acquired {
            Some(acquired) => acquired,
            None => match self.writer().step(owner, &mut state.lock, peers) {
                Step::Wait(pause) => return Step::Wait(pause),
                Step::Ready(acquired) => *state.acquired.insert(acquired),
            },
        };
        fault::step();
        let over = peers.is_over(&mut state.readers);
        for slot in 0..self.readers.count() {
            if let Some(pause) = self.wait_for_reader(slot, over, peers) {
                return Step::Wait(pause);
            }
        }
        *state = WriteState::default();
        Step::Ready(acquired)
    }

    fn wait_for_reader(&self, slot: u32, over: bool, peers: impl Peers) -> Option<Pause<'a>> {
        let word = self.readers.holder(slot);
        loop {
            let seen = word.load(Ordering::SeqCst);
            if Owner::from_word(seen).is_nobody() {
                return None;
            }
            if over && !peers.is_alive(Owner::from_word(seen)) {
                word.replace(seen, 0);
                continue;
            }
            if let Some(pause) = word.wait_while(seen) {
                return Some(pause);
            }
        }
    }

    /// Whether a caller that blocks until it writes would wait for itself.
    pub(crate) fn write_waits_for_itself(&self, owner: Owner, state: &WriteState) -> bool {
        // Once it has the word, it waits for other readers.
        state.acquired.is_none() && (self.writer().owner() == owner || self.readers.has(owner))
    }

    /// A waiting writer gives up. It may have the word already.
    pub(crate) fn stop_writing(&self, owner: Owner, state: &mut WriteState) {
        if let Some(acquired) = state.acquired.take() {
            self.give_word_back(owner, acquired);
        }
    }

    // Nothing was written, so the next owner still has to be told of the earlier death.
    fn give_word_back(&self, owner: Owner, acquired: Acquired) {
        if acquired.owner_died { self.end_write_as_dead(owner) } else { self.end_write(owner) }
    }

    #[inline]
    pub(crate) fn end_write(&self, owner: Owner) {
        // As above.
        drop(self.writer().release(owner, u32::MAX));
    }

    /// The same; the next owners are told as after a death.
    pub(crate) fn end_write_as_dead(&self, owner: Owner) {
        // As above.
        drop(self.writer().release_as_dead(owner, u32::MAX));
    }

    /// Ends the writing of the owner in this process that writes.
    pub(crate) fn end_our_write(&self, is_ours: impl Fn(Owner) -> bool) -> Result<(), NotOurs> {
        self.writer().release_ours(is_ours, u32::MAX)
    }

    // A caller that only tries would otherwise never notice them.
    #[cold]
    fn bury_the_dead(&self, peers: impl Peers) {
        let is_dead = |word: u32| {
            let owner = Owner::from_word(word);
            !owner.is_nobody() && !peers.is_alive(owner)
        };
        let seen = self.writer().load(Ordering::Relaxed);
        if is_dead(seen) {
            self.writer().bury(seen);
        }
        for slot in 0..self.readers.count() {
            let seen = self.readers.slot(slot).load(Ordering::Relaxed);
            if is_dead(seen) {
                self.readers.replace(slot, seen, 0);
            }
        }
    }
}
