//! Wait and notify, as JavaScript's `Atomics` have them, but across processes.

use crate::futex::{self, Outcome};
use shm_api::OsError;
use std::{
    sync::atomic::{AtomicI32, AtomicU32},
    time::{Duration, Instant},
};

/// A 32-bit atomic integer in shared memory.
pub trait Cell: sealed::Sealed {
    /// Its plain integer.
    type Value;
    #[doc(hidden)]
    fn word(&self) -> &AtomicU32;
    #[doc(hidden)]
    fn bits(value: Self::Value) -> u32;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::AtomicI32 {}
    impl Sealed for super::AtomicU32 {}
}

impl Cell for AtomicU32 {
    type Value = u32;
    fn word(&self) -> &AtomicU32 {
        self
    }
    fn bits(value: u32) -> u32 {
        value
    }
}

impl Cell for AtomicI32 {
    type Value = i32;
    fn word(&self) -> &AtomicU32 {
        // SAFETY: the two have the same size, alignment and bits.
        unsafe { AtomicU32::from_ptr(self.as_ptr().cast()) }
    }
    fn bits(value: i32) -> u32 {
        value.cast_unsigned()
    }
}

/// Blocks this thread while `cell` holds `expected`, until a [`notify`], or until time is up. `None` is no time limit.
/// Change the cell before you notify; then no wake-up is lost.
///
/// The cell must lie in memory that writes reach ([`Region::cell`](crate::Region::cell) gives no other).
///
/// # Errors
///
/// If the system refuses. On Linux it does so only if the memory is gone.
pub fn wait<C: Cell>(cell: &C, expected: C::Value, timeout: Option<Duration>) -> Result<Outcome, OsError> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let expected = C::bits(expected);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(outcome) = futex::wait(cell.word(), expected, left)? {
            return Ok(outcome);
        }
    }
}

/// Wakes at most `count` waiters on `cell`, in every process; returns how many were woken.
pub fn notify<C: Cell>(cell: &C, count: u32) -> usize {
    futex::wake(cell.word(), count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_wait_ends_by_notify_by_value_or_by_time() {
        let memory = Memory::new(64);
        let cell = memory.region().cell(0).unwrap();
        assert_eq!(wait(cell, 1, None).unwrap(), Outcome::NotEqual);
        assert_eq!(wait(cell, 0, Some(Duration::from_millis(1))).unwrap(), Outcome::TimedOut);
        assert_eq!(wait(cell, 0, Some(Duration::ZERO)).unwrap(), Outcome::TimedOut);
        assert_eq!(notify(cell, u32::MAX), 0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(cell, 0, Some(Duration::MAX)).unwrap());
            assert_eq!(notify(cell, 0), 0);
            while notify(cell, 1) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(waiter.join().unwrap(), Outcome::Woken);
        });
    }

    #[test]
    fn signed_cells_wait_as_unsigned_ones() {
        let cell = AtomicI32::new(-1);
        assert_eq!(wait(&cell, 1, None).unwrap(), Outcome::NotEqual);
        assert_eq!(wait(&cell, -1, Some(Duration::from_millis(1))).unwrap(), Outcome::TimedOut);
        cell.store(0, Ordering::Relaxed);
        assert_eq!(wait(&cell, -1, None).unwrap(), Outcome::NotEqual);
    }
}
