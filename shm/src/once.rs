//! Work that is done once across processes, by the first caller.

use crate::{Error, Segment, owned::Owned};
use shm_sync::{Once as Raw, Turn};

/// A once-flag in shared memory.
///
/// ```
/// # use shm_segments::{Error, Once, Segment};
/// # let segment = Segment::create_anywhere(4096)?;
/// let filled = Once::open(&segment, 0)?;
/// filled.call(|_| segment.set(16, &[1.5, 2.5]).unwrap())?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Once(Owned<Raw<'static>>);

impl Once {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        Raw::byte_len()
    }

    /// Opens the flag at `offset` of a segment. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, or the bytes there are something else.
    pub fn open(segment: &Segment, offset: usize) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::open(region, offset, live)).map(Self)
    }

    /// Runs `f` once across all processes; waits while another process runs its own. If that process is killed, or
    /// panics, the next one runs its `f`. After a kill, [`Turn::owner_died`] is true.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](shm_sync::SyncError::Deadlock) if it is called within `f`.
    pub fn call(&self, f: impl FnOnce(&Turn<'_>)) -> Result<(), Error> {
        Ok(self.0.raw.call(|turn| f(turn))?)
    }

    /// Whether the work has been done.
    pub fn is_done(&self) -> bool {
        self.0.raw.is_done()
    }
}
