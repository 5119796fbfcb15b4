//! An event count: a word on which those sleep who wait for something to happen elsewhere.
//!
//! Bit 0 tells that someone may sleep; the rest counts how often sleepers were woken. A sleeper sets the bit
//! and looks once more whether it happened; whoever makes it happen then looks at the bit. The count is what
//! makes it sound: without it, one who wakes late could take down the bit of one who is about to sleep.

use super::{
    cell::{AtomicU32, Ordering},
    futex,
    step::Pause,
};

const SLEEPERS: u32 = 1;

/// The word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventCount<'a>(pub(crate) &'a AtomicU32);

impl<'a> EventCount<'a> {
    /// The pause of one who has not seen it happen. If it has happened by now, the pause ends at once.
    pub(crate) fn prepare(self, happened: impl FnOnce() -> bool) -> Pause<'a> {
        let expected = self.0.fetch_or(SLEEPERS, Ordering::SeqCst) | SLEEPERS;
        // Without the bit, it is a value that the word does not come back to.
        let expected = if happened() { expected & !SLEEPERS } else { expected };
        Pause { cell: self.0, expected }
    }

    /// It has happened: wakes all who sleep.
    #[inline]
    pub(crate) fn notify(self) {
        let seen = self.0.load(Ordering::SeqCst);
        if seen & SLEEPERS != 0 {
            self.wake(seen);
        }
    }

    #[cold]
    fn wake(self, mut seen: u32) {
        while seen & SLEEPERS != 0 {
            let next = seen.wrapping_add(2) & !SLEEPERS;
            match self.0.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    futex::wake(self.0, u32::MAX);
                    return;
                }
                Err(found) => seen = found,
            }
        }
    }
}
