//! All errors, as one type.

use shm_api::{AttachError, CreateError, InvalidKey};
use std::convert::Infallible;

/// Why an operation failed. Every message says what to do; an error of the system keeps its errno.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key is invalid, or invalid for the backends that are built in.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The segment was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The segment was not attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A segment without bytes was asked for.
    #[error("a segment has at least one byte: pass a size greater than 0")]
    Empty,
    /// A part that does not lie inside the segment.
    #[error(
        "{size} bytes at offset {offset} do not fit into the segment, which has {end} bytes: make it larger"
    )]
    Outside {
        /// Where the part begins.
        offset: usize,
        /// How many bytes it has.
        size: usize,
        /// How many bytes the segment has.
        end: usize,
    },
    /// An operation on a structure failed.
    #[cfg(feature = "sync")]
    #[error(transparent)]
    Sync(#[from] shm_sync::SyncError),
    /// An operation on a map failed.
    #[cfg(feature = "map")]
    #[error(transparent)]
    Map(#[from] shm_map::MapError),
    /// The last owner of a lock died or panicked, and no thread has repaired the protected value.
    #[cfg(feature = "sync")]
    #[error(
        "the last owner of this {what} was killed or panicked, and may have left its value half-changed: call \
         recover(), and repair the value"
    )]
    OwnerDied {
        /// The lock.
        what: &'static str,
    },
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
