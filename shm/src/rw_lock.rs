//! A value that many threads read, or one changes.

use crate::{
    Error, Segment,
    guard::{Guard, Home},
    owned::{Owned, wait},
};
use bytemuck::Pod;
use shm_sync::{ReadGuard as RawRead, RwLock as Raw, SyncError, WriteGuard as RawWrite};
use std::{ops::Deref, time::Duration};

const WHAT: &str = "read-write lock";

/// A read-write lock in shared memory, and the value that it protects. Fresh memory is a free lock, and a value of
/// zeros.
///
/// Its guards have a copy of the value, as those of a [`Mutex`](crate::Mutex). If a process is killed, or a thread
/// panics, while it writes, then reading and writing return [`Error::OwnerDied`] until a thread has
/// [recovered](Self::recover) the lock.
///
/// ```
/// # use shm_segments::{Error, RwLock, Segment};
/// # let segment = Segment::create_anywhere(4096)?;
/// let limits = RwLock::<[u32; 2]>::open(&segment, 0, 8)?;
/// *limits.write()? = [10, 20];
/// assert_eq!(limits.read()?[1], 20);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct RwLock<T>(Owned<(Raw<'static>, Home<T>)>);

/// No other thread reads or writes until this is dropped (any thread may drop it).
pub type WriteGuard<'l, T> = Guard<RawWrite<'l>, T>;

/// No thread writes until this is dropped (any thread may drop it).
#[derive(Debug)]
#[must_use = "dropping it ends the reading"]
pub struct ReadGuard<'l, T> {
    _lock: RawRead<'l>,
    value: T,
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Pod> RwLock<T> {
    /// How many bytes it takes for that many readers at a time, with its value. If other languages read the value, it
    /// must begin at a multiple of 8.
    pub const fn byte_len(readers: u32) -> usize {
        Home::<T>::byte_len(Raw::byte_len(readers))
    }

    /// Opens the lock at `offset` of a segment, for that many readers at a time (1 to 65536; every process passes the
    /// same number). Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, or the bytes there are something else.
    pub fn open(segment: &Segment, offset: usize, readers: u32) -> Result<Self, Error> {
        let open = |region, live| {
            let lock = Raw::open(region, offset, readers, live)?;
            Ok::<_, SyncError>((lock, Home::after(Raw::byte_len(readers), offset, region)?))
        };
        Owned::open(segment, offset, open).map(Self)
    }

    const fn raw(&self) -> Raw<'_> {
        self.0.raw.0
    }

    const fn home(&self) -> Home<T> {
        self.0.raw.1
    }

    /// Locks it for reading.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it; [`Deadlock`](shm_sync::SyncError::Deadlock) if this
    /// thread would wait for itself.
    pub fn read(&self) -> Result<ReadGuard<'_, T>, Error> {
        self.read_guard(self.raw().read()?)
    }

    /// Locks it for reading, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_timeout(&self, timeout: Duration) -> Result<Option<ReadGuard<'_, T>>, Error> {
        self.raw().read_timeout(timeout)?.map(|lock| self.read_guard(lock)).transpose()
    }

    /// Locks it for reading if nobody writes.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it.
    pub fn try_read(&self) -> Result<Option<ReadGuard<'_, T>>, Error> {
        self.raw().try_read()?.map(|lock| self.read_guard(lock)).transpose()
    }

    /// Locks it for reading without blocking a thread.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it.
    pub async fn read_async(&self) -> Result<ReadGuard<'_, T>, Error> {
        let mut reading = self.raw().reading(self.0.live.this_thread()?);
        self.read_guard(wait(&self.0.segment, || reading.step()).await?)
    }

    /// Locks it for writing.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write(&self) -> Result<WriteGuard<'_, T>, Error> {
        self.write_guard(self.raw().write()?)
    }

    /// Locks it for writing, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write_timeout(&self, timeout: Duration) -> Result<Option<WriteGuard<'_, T>>, Error> {
        self.raw().write_timeout(timeout)?.map(|lock| self.write_guard(lock)).transpose()
    }

    /// Locks it for writing if nobody has it.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it.
    pub fn try_write(&self) -> Result<Option<WriteGuard<'_, T>>, Error> {
        self.raw().try_write()?.map(|lock| self.write_guard(lock)).transpose()
    }

    /// Locks it for writing without blocking a thread.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] until a thread has recovered it.
    pub async fn write_async(&self) -> Result<WriteGuard<'_, T>, Error> {
        let mut writing = self.raw().writing(self.0.live.this_thread()?);
        self.write_guard(wait(&self.0.segment, || writing.step()).await?)
    }

    /// Locks it for writing even if its last writer died. In that case, [`owner_died`](Guard::owner_died) of the guard
    /// is true: repair the value.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), without `OwnerDied`.
    pub fn recover(&self) -> Result<WriteGuard<'_, T>, Error> {
        Guard::recover(self.raw().write()?, self.home())
    }

    fn read_guard<'l>(&self, lock: RawRead<'l>) -> Result<ReadGuard<'l, T>, Error> {
        if lock.owner_died() {
            return Err(Error::OwnerDied { what: WHAT });
        }
        Ok(ReadGuard { _lock: lock, value: self.home().load()? })
    }

    fn write_guard<'l>(&self, lock: RawWrite<'l>) -> Result<WriteGuard<'l, T>, Error> {
        Guard::new(lock, self.home(), WHAT)
    }
}
