//! An event count: a word on which waiters sleep until an event happens elsewhere.
//!
//! A sleeper sets the bit `SLEEPERS`, and checks once more whether the event has happened. The thread that causes the
//! event looks at the bit afterwards. The count is necessary: without it, a thread that wakes late could clear the bit
//! of another one that is about to sleep.

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

    /// From now on, an event wakes sleepers. Sleep while the word has the value that this returns.
    pub(crate) fn announce(self) -> u32 {
        self.word.fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS
    }

    /// The pause of a waiter that has announced it.
    pub(crate) const fn pause(self, expected: u32) -> Pause<'a> {
        Pause { cell: self.word, expected }
    }

    /// The pause of a waiter that has not seen the event. If it has happened by now, the pause ends at once.
    pub(crate) fn prepare(self, happened: impl FnOnce() -> bool) -> Pause<'a> {
        let expected = self.announce();
        // Without the bit, this is a value that the word never has again.
        self.pause(if happened() { expected & !SLEEPERS } else { expected })
    }

    /// The event has happened: wakes all sleepers.
    #[inline]
    pub(crate) fn notify(self) {
        self.notify_some(u32::MAX);
    }

    /// The event has happened, for so many waiters: wakes at most as many. A thread that wakes up
    /// [announces](Self::announce) on behalf of the others.
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
