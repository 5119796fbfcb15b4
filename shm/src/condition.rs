//! Waiting for the value of a mutex to change.

use crate::{Error, MutexGuard, Segment, guard::Guard, owned::Owned};
use bytemuck::Pod;
use shm_sync::{Condition as Raw, MutexGuard as RawGuard, SyncError};
use std::time::Duration;

/// A condition variable in shared memory. A wait can end without a notification: check again in a loop.
///
/// ```
/// # use shm_segments::{Condition, Error, Mutex, Segment};
/// # let segment = Segment::create_anywhere(4096)?;
/// let (jobs, filled) = (Mutex::<u32>::open(&segment, 0)?, Condition::open(&segment, 64)?);
/// # *jobs.lock()? = 1;
/// let mut waiting = jobs.lock()?;
/// while *waiting == 0 {
///     waiting = filled.wait(waiting)?;
/// }
/// *waiting -= 1;
/// # filled.notify_one();
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Condition(Owned<Raw<'static>>);

impl Condition {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        Raw::byte_len()
    }

    /// Opens the condition at `offset` of a segment. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, or the bytes there are something else.
    pub fn open(segment: &Segment, offset: usize) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::open(region, offset, live)).map(Self)
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again. The segments of the mutex and of the
    /// condition must belong to the same user, with the same users who may write.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] if the mutex's owner died meanwhile; the mutex is not locked then.
    pub fn wait<'m, T: Pod>(&self, guard: MutexGuard<'m, T>) -> Result<MutexGuard<'m, T>, Error> {
        Ok(self.wait_with(guard, |condition, lock| Ok((condition.wait(lock)?, true)))?.0)
    }

    /// As [`wait`](Self::wait), but waits no longer than `timeout` (to lock the mutex again may take longer). Returns
    /// whether the wait ended before time was up.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<'m, T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'m, T>, bool), Error> {
        self.wait_with(guard, |condition, lock| condition.wait_timeout(lock, timeout))
    }

    fn wait_with<'m, T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        wait: impl FnOnce(&Raw<'m>, RawGuard<'m>) -> Result<(RawGuard<'m>, bool), SyncError>,
    ) -> Result<(MutexGuard<'m, T>, bool), Error> {
        let home = guard.home();
        let lock = guard.into_lock().ok_or(SyncError::NotHeld)?;
        let (lock, in_time) = wait(&self.0.raw, lock)?;
        Ok((Guard::new(lock, home, "mutex")?, in_time))
    }

    /// Wakes one waiter; returns whether one was asleep.
    pub fn notify_one(&self) -> bool {
        self.0.raw.notify_one()
    }

    /// Wakes all waiters, and returns how many were asleep.
    pub fn notify_all(&self) -> usize {
        self.0.raw.notify_all()
    }
}
