//! A number of permits.

use crate::{
    Error, Segment,
    owned::{Owned, wait},
};
use shm_sync::{Permit, Semaphore as Raw};
use std::time::Duration;

/// A semaphore in shared memory. If a process is killed, its permits are free again, and their next owners are told
/// ([`Permit::owner_died`]).
///
/// ```
/// # use shm_segments::{Error, Segment, Semaphore};
/// # let segment = Segment::create_anywhere(4096)?;
/// let printers = Semaphore::open(&segment, 0, 2)?;
/// let permit = printers.acquire()?;
/// // at most one other owner is here too
/// drop(permit);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Semaphore(Owned<Raw<'static>>);

impl Semaphore {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len(permits: u32) -> usize {
        Raw::byte_len(permits)
    }

    /// Opens the semaphore at `offset` of a segment, with that many permits (1 to 65536; every process passes the same
    /// number). Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, or the bytes there are something else.
    pub fn open(segment: &Segment, offset: usize, permits: u32) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::open(region, offset, permits, live)).map(Self)
    }

    /// How many permits it was created with.
    pub const fn permits(&self) -> u32 {
        self.0.raw.permits()
    }

    /// Takes a permit, and waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](shm_sync::SyncError::Deadlock) if this thread has all permits.
    pub fn acquire(&self) -> Result<Permit<'_>, Error> {
        Ok(self.0.raw.acquire()?)
    }

    /// Takes a permit, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit<'_>>, Error> {
        Ok(self.0.raw.acquire_timeout(timeout)?)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, Error> {
        Ok(self.0.raw.try_acquire()?)
    }

    /// Takes a permit without blocking a thread. If you drop the future, it leaves the queue.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub async fn acquire_async(&self) -> Result<Permit<'_>, Error> {
        let mut acquiring = self.0.raw.acquiring(self.0.live.this_thread()?);
        Ok(wait(&self.0.segment, || acquiring.step()).await?)
    }
}
