//! A word for the writer, and slots for the readers: the algorithm of the read-write lock.

use crate::protocol::{
    cell::{Ordering, Words},
    lock_word::{Acquired, DIED, LockWord, Queue, WAITERS},
    slots::{Slots, Waiting},
    step::{Patience, Pause, Step},
};
use crate::{Owner, SyncError, storm::may_die_here};

/// The words of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core<W> {
    words: W,
    writer: u32,
    pub(crate) readers: Slots<W>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadState {
    slot: Waiting,
    writer: Patience,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteState {
    queue: Queue,
    readers: Patience,
    /// The word is ours already, and we wait for readers to leave.
    pub(crate) acquired: Option<Acquired>,
}

impl<'a, W: Words<'a>> Core<W> {
    pub(crate) fn new(words: W, writer: u32, readers: Slots<W>) -> Self {
        Self { words, writer, readers }
    }

    pub(crate) fn writer(&self) -> LockWord<'a> {
        LockWord(self.words.word(self.writer))
    }

    /// A slot, if no writer is there: the slot is taken first and then the writer looked for; a writer does
    /// it the other way round, so that one of the two sees the other.
    #[inline]
    pub(crate) fn try_read(&self, owner: Owner) -> Option<(u32, bool)> {
        let writer = self.writer();
        if writer.owner().get() != 0 {
            return None;
        }
        let slot = self.readers.claim(owner)?;
        self.look_for_writer(slot, owner)
    }

    #[inline]
    fn look_for_writer(&self, slot: u32, owner: Owner) -> Option<(u32, bool)> {
        may_die_here!();
        let seen = self.writer().0.load(Ordering::SeqCst);
        if Owner::from_bits(seen).get() == 0 {
            return Some((slot, seen & DIED != 0));
        }
        // Back out. An error would mean that the bytes were overwritten.
        drop(self.readers.release(slot, owner));
        None
    }

    pub(crate) fn read_step(
        &self,
        owner: Owner,
        state: &mut ReadState,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Step<'a, (u32, bool)> {
        let over = state.writer.is_over();
        let word = self.writer().0;
        loop {
            let seen = word.load(Ordering::SeqCst);
            let writer = Owner::from_bits(seen);
            if writer.get() == 0 {
                match self.readers.step(owner, &mut state.slot, &is_alive) {
                    Step::Wait(pause) => return Step::Wait(pause),
                    Step::Ready(claimed) => match self.look_for_writer(claimed.slot, owner) {
                        Some(read) => return Step::Ready(read),
                        None => continue,
                    },
                }
            }
            if over && !is_alive(writer) {
                self.writer().bury(seen);
                continue;
            }
            let expected = seen | WAITERS;
            if seen == expected
                || word.compare_exchange(seen, expected, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            {
                return Step::Wait(Pause { cell: word, expected });
            }
        }
    }

    pub(crate) fn write_step(
        &self,
        owner: Owner,
        state: &mut WriteState,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Result<Step<'a, Acquired>, SyncError> {
        let acquired = match state.acquired {
            Some(acquired) => acquired,
            None => match self.writer().step(owner, &mut state.queue, &is_alive) {
                Step::Wait(pause) => return Ok(Step::Wait(pause)),
                Step::Ready(acquired) => *state.acquired.insert(acquired),
            },
        };
        may_die_here!();
        let over = state.readers.is_over();
        for slot in 0..self.readers.count() {
            if let Some(pause) = self.wait_for_reader(slot, over, &is_alive) {
                return Ok(Step::Wait(pause));
            }
        }
        Ok(Step::Ready(acquired))
    }

    fn wait_for_reader(&self, slot: u32, over: bool, is_alive: impl Fn(Owner) -> bool) -> Option<Pause<'a>> {
        let word = self.readers.slot(slot);
        loop {
            let seen = word.load(Ordering::SeqCst);
            if Owner::from_bits(seen).get() == 0 {
                return None;
            }
            if over && !is_alive(Owner::from_bits(seen)) {
                self.readers.replace(slot, seen, 0);
                continue;
            }
            let expected = seen | WAITERS;
            if seen == expected
                || word.compare_exchange(seen, expected, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            {
                return Some(Pause { cell: word, expected });
            }
        }
    }

    #[inline]
    pub(crate) fn try_write(&self, owner: Owner) -> bool {
        if !self.writer().try_acquire(owner) {
            return false;
        }
        let free = |slot| self.readers.slot(slot).load(Ordering::SeqCst) == 0;
        (0..self.readers.count()).all(free) || {
            self.end_write(owner);
            false
        }
    }

    #[inline]
    pub(crate) fn end_write(&self, owner: Owner) {
        // An error means that the bytes were overwritten; then there is nothing of ours to end.
        drop(self.writer().release(owner, u32::MAX));
    }

    #[inline]
    pub(crate) fn end_read(&self, slot: u32, owner: Owner) {
        // As above.
        drop(self.readers.release(slot, owner));
    }
}
