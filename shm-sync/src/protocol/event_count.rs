//! An event count: a word on which those sleep who wait for something to happen elsewhere.
//!
//! A sleeper sets the bit `SLEEPERS` and looks once more whether it happened; whoever makes it happen then looks at
//! the bit. The count is what makes it sound: without it, one who wakes late could take down the bit of one who is
//! about to sleep.

use super::{
    layout::event_count::{SLEEPERS, WAKE_UP},
    memory::{AtomicU32, Memory, Ordering},
    step::Pause,
};
use shm_lifetime::fault;
use std::marker::PhantomData;

/// The word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventCount<'a, M> {
    word: &'a AtomicU32,
    memory: PhantomData<M>,
}

impl<'a, M: Memory<'a>> EventCount<'a, M> {
    #[inline]
    pub(crate) fn at(memory: M, offset: u32) -> Self {
        Self { word: memory.word(offset), memory: PhantomData }
    }

    /// From now on, whoever makes it happen wakes who sleeps while the word is what this gives.
    pub(crate) fn announce(self) -> u32 {
        self.word.fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS
    }

    /// The pause of one who has announced it.
    pub(crate) const fn pause(self, expected: u32) -> Pause<'a> {
        Pause { cell: self.word, expected }
    }

    /// The pause of one who has not seen it happen. If it has happened by now, the pause ends at once.
    pub(crate) fn prepare(self, happened: impl FnOnce() -> bool) -> Pause<'a> {
        let expected = self.announce();
        // Without the bit, it is a value that the word does not come back to.
        self.pause(if happened() { expected & !SLEEPERS } else { expected })
    }

    /// It has happened: wakes all who sleep.
    #[inline]
    pub(crate) fn notify(self) {
        self.notify_some(u32::MAX);
    }

    /// It has happened, for as many: wakes no more of those who sleep. Whoever wakes up [announces](Self::announce) for
    /// the others.
    #[inline]
    pub(crate) fn notify_some(self, count: u32) {
        let seen = self.word.load(Ordering::SeqCst);
        if seen & SLEEPERS != 0 {
            self.wake(seen, count);
        }
    }

    #[cold]
    fn wake(self, mut seen: u32, count: u32) {
        while seen & SLEEPERS != 0 {
            let next = seen.wrapping_add(WAKE_UP) & !SLEEPERS;
            match self.word.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    fault::step();
                    M::wake(self.word, count);
                    return;
                }
                Err(found) => seen = found,
            }
        }
    }
}
