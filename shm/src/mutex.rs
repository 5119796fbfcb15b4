//! A value that only one thread of all processes can use at a time.

use crate::{
    Error, Segment,
    guard::{Guard, Home},
    owned::{Owned, wait},
};
use bytemuck::Pod;
use shm_sync::{Mutex as Raw, MutexGuard as RawGuard, SyncError};
use std::time::Duration;

const WHAT: &str = "mutex";

/// A mutex in shared memory, and the value that it protects. Fresh memory is a free mutex, and a value of zeros.
///
/// [`lock`](Self::lock) copies the value, and the guard copies it back. Use this for values of up to a few kilobytes.
/// For larger ones, protect a part of the segment with a `Mutex<()>`.
///
/// If a process is killed, or a thread panics, while it has the mutex, [`lock`](Self::lock) returns
/// [`Error::OwnerDied`] until a thread has [recovered](Self::recover) the mutex.
///
/// ```
/// # use shm_segments::{Error, Mutex, Segment};
/// # let segment = Segment::create_anywhere(4096)?;
/// let counter = Mutex::<u64>::open(&segment, 0)?;
/// *counter.lock()? += 1;
/// assert_eq!(*counter.lock()?, 1);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Mutex<T>(Owned<(Raw<'static>, Home<T>)>);

/// The mutex stays locked until this is dropped (any thread may drop it).
pub type MutexGuard<'m, T> = Guard<RawGuard<'m>, T>;

impl<T: Pod> Mutex<T> {
    /// How many bytes it takes, with its value. If other languages read the value, it must begin at a multiple of 8.
    pub const fn byte_len() -> usize {
        Home::<T>::byte_len(Raw::byte_len())
    }

    /// Opens the mutex at `offset` of a segment. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, or the bytes there are something else.
    pub fn open(segment: &Segment, offset: usize) -> Result<Self, Error> {
        let open = |region, live| {
            let home = Home::after(Raw::byte_len(), offset, region)?;
            Ok::<_, SyncError>((Raw::open(region, offset, live)?, home))
        };
        Owned::open(segment, offset, open).map(Self)
    }

    const fn raw(&self) -> Raw<'_> {
        self.0.raw.0
    }

    const fn home(&self) -> Home<T> {
        self.0.raw.1
    }

    /// Locks it, and waits until that succeeds.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it; [`Deadlock`](shm_sync::SyncError::Deadlock) if this
    /// thread has it already.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, Error> {
        self.guard(self.raw().lock()?)
    }

    /// Locks it, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<MutexGuard<'_, T>>, Error> {
        self.raw().lock_timeout(timeout)?.map(|lock| self.guard(lock)).transpose()
    }

    /// Locks it if nobody has it.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it.
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'_, T>>, Error> {
        self.raw().try_lock()?.map(|lock| self.guard(lock)).transpose()
    }

    /// Locks it without blocking a thread. If you drop the future, it leaves the queue.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it. If this task has the mutex already, it waits for itself,
    /// without end.
    pub async fn lock_async(&self) -> Result<MutexGuard<'_, T>, Error> {
        let mut locking = self.raw().locking(self.0.live.this_thread()?);
        self.guard(wait(&self.0.segment, || locking.step()).await?)
    }

    /// Locks it even if its last owner died. In that case, [`owner_died`](Guard::owner_died) of the guard is true:
    /// repair the value.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), without `OwnerDied`.
    pub fn recover(&self) -> Result<MutexGuard<'_, T>, Error> {
        Guard::recover(self.raw().lock()?, self.home())
    }

    fn guard<'m>(&self, lock: RawGuard<'m>) -> Result<MutexGuard<'m, T>, Error> {
        Guard::new(lock, self.home(), WHAT)
    }
}
