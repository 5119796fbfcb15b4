//! A number of parties that wait for each other.

use crate::{
    Error, Segment,
    owned::{Owned, wait},
};
use shm_sync::{Barrier as Raw, Party as RawParty};
use std::time::Duration;

/// A barrier in shared memory: in each phase, no party goes on until all have arrived.
///
/// ```
/// # use shm_segments::{Barrier, Error, Segment};
/// # let segment = Segment::create_anywhere(4096)?;
/// let barrier = Barrier::open(&segment, 0, 1)?;
/// let mut party = barrier.join()?;
/// assert!(party.wait()?, "the last one");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Barrier(Owned<Raw<'static>>);

/// One party of a barrier. Dropping it leaves the barrier.
#[derive(Debug)]
pub struct Party(Owned<RawParty<'static>>);

impl Barrier {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len(parties: u32) -> usize {
        Raw::byte_len(parties)
    }

    /// Opens the barrier at `offset` of a segment, for that many parties (1 to 65535; every process passes the same
    /// number). Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, or the bytes there are something else.
    pub fn open(segment: &Segment, offset: usize, parties: u32) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::open(region, offset, parties, live)).map(Self)
    }

    /// How many parties it was made for.
    pub const fn parties(&self) -> u32 {
        self.0.raw.parties()
    }

    /// Becomes a party.
    ///
    /// # Errors
    ///
    /// [`Full`](shm_sync::SyncError::Full) if all parties have joined already.
    pub fn join(&self) -> Result<Party, Error> {
        Ok(Party(self.0.part(Raw::join)?))
    }
}

impl Party {
    /// Waits until all parties have arrived. `true` for the last one.
    ///
    /// # Errors
    ///
    /// [`Broken`](shm_sync::SyncError::Broken) if a party was killed: the phase begins again.
    pub fn wait(&mut self) -> Result<bool, Error> {
        Ok(self.0.raw.wait()?)
    }

    /// As [`wait`](Self::wait), but returns `None` if `timeout` is over. Then this party has not arrived.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<bool>, Error> {
        Ok(self.0.raw.wait_timeout(timeout)?)
    }

    /// As [`wait`](Self::wait), without blocking a thread. If you drop the future, the arrival is taken back.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub async fn wait_async(&mut self) -> Result<bool, Error> {
        let mut arrival = self.0.raw.arrive()?;
        Ok(wait(&self.0.segment, || arrival.step()).await?)
    }
}
