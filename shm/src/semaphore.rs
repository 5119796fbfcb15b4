//! A number of permits.

use crate::{
    Error, Segment,
    owned::{Owned, wait},
};
use shm_sync::{Permit, Semaphore as Raw};
use std::time::Duration;

/// A semaphore in shared memory. The permits of a killed process come back, and the next owner of one is told
/// ([`Permit::owner_died`]).
///
/// ```
/// # use shm_segments::{Error, Segment, Semaphore};
/// # let segment = Segment::create_anywhere(4096)?;
/// let printers = Semaphore::open(&segment, 0, 2)?;
/// let permit = printers.acquire()?;
/// // one of two processes at most is here beside us
/// drop(permit);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Semaphore(Owned<Raw<'static>>);

impl Semaphore {
    /// Its size in bytes. It begins at a multiple of 4.
    pub const fn byte_len(permits: u32) -> usize {
        Raw::byte_len(permits)
    }

    /// The semaphore at `offset` of a segment, with that many permits (1 to 65536; all who open it say the same).
    /// Makes it if the bytes are all zero.
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
    /// [`Deadlock`](shm_sync::SyncError::Deadlock) where this thread has them all.
    pub fn acquire(&self) -> Result<Permit<'_>, Error> {
        Ok(self.0.raw.acquire()?)
    }

    /// Takes a permit, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// Where the system refuses.
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit<'_>>, Error> {
        Ok(self.0.raw.acquire_timeout(timeout)?)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// Where the system refuses.
    pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, Error> {
        Ok(self.0.raw.try_acquire()?)
    }

    /// Takes a permit without blocking a thread. Dropping the future leaves the queue.
    ///
    /// # Errors
    ///
    /// Where the system refuses.
    pub async fn acquire_async(&self) -> Result<Permit<'_>, Error> {
        let mut acquiring = self.0.raw.acquiring(self.0.live.this_thread()?);
        Ok(wait(&self.0.segment, || acquiring.step()).await?)
    }
}
