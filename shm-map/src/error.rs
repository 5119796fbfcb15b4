//! What can go wrong. Every error says what to do; one that came from the system keeps the errno.

use crate::protocol::Refused;
use shm_api::{AttachError, CreateError, Key, OsError};
use shm_sync::SyncError;

/// `EBUSY` of the system.
const EBUSY: i32 = 16;

/// Why an operation on a map failed. Where it was to change something, it has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Nobody has made a map here yet.
    #[error("there is no map {}: give `memory` to create it, or check the key", place(key.as_ref()))]
    Fresh {
        /// The key under which there is none; `None` where a region was given, and no key.
        key: Option<Key>,
    },
    /// The bytes are those of something else.
    #[error("the bytes here are no map (they begin with {found:#010x}): another key?")]
    Foreign {
        /// The first word.
        found: u32,
    },
    /// It was made by another version of this library.
    #[error(
        "this map has layout version {found}, we know {known}: put the version into the key while both are in use"
    )]
    Version {
        /// The version found.
        found: u8,
        /// The version that this library knows.
        known: u8,
    },
    /// It was made with another value of an option.
    #[error(
        "this map has {option} {found}, not {wanted}: leave the option out, or give what the map was made with"
    )]
    Options {
        /// The option.
        option: &'static str,
        /// What it was made with.
        found: u64,
        /// What was asked now.
        wanted: u64,
    },
    /// An option or an argument is out of its range.
    #[error("{option} is {value}, but must be {must}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// What it has to be.
        must: String,
    },
    /// A value is too long.
    #[error(
        "a value of {length} bytes is too long, at most {most} fit: make the map larger, or split the value"
    )]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most that fits, with this key and these tags.
        most: usize,
    },
    /// The map has no room, and keeps what it has.
    #[error("the map is full: remove something, make it with more memory and entries, or let it evict")]
    Full,
    /// What was to be incremented is not a whole number of at most 2^53 - 1, or would not be one.
    #[error("only whole numbers within 2^53 - 1 can be incremented, and nothing else: set the entry anew")]
    NotANumber,
    /// Another writer has held the shard for all of the lock timeout.
    #[error(
        "another writer holds this part of the map (EBUSY): is it stopped? Try again, or raise the lock timeout"
    )]
    Busy,
    /// The map was opened for reading.
    #[error("a read-only map cannot be written to: open it for writing")]
    ReadOnly,
    /// The bytes contradict each other.
    #[error("the map is damaged ({0}): destroy its segment, and create it anew")]
    Damaged(&'static str),
    /// The map is not to be had for another reason.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The segment was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The segment was not attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Whenever it was to be attached, it was gone, and whenever it was to be created, it was there.
    #[error("segment {key} comes and goes all the time: choose another key")]
    Unsteady {
        /// The key.
        key: Key,
    },
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

impl MapError {
    /// The error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Busy => Some(EBUSY),
            Self::Sync(error) => error.errno(),
            Self::Os(error) | Self::Create(CreateError::Os(error)) | Self::Attach(AttachError::Os(error)) => {
                Some(error.errno())
            }
            _ => None,
        }
    }

    /// The same error. Where there is no map, it names the key under which there is none.
    #[must_use]
    pub fn under(self, key: &Key) -> Self {
        if matches!(self, Self::Fresh { .. }) { Self::Fresh { key: Some(key.clone()) } } else { self }
    }

    /// Of what a shard refused: the value's length, and how long it may be, for one that is too long.
    pub(crate) fn of(refused: Refused, length: usize, most: impl FnOnce() -> usize) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::TooLong => Self::TooLong { length, most: most() },
            Refused::NotANumber => Self::NotANumber,
            Refused::Damaged(how) => Self::Damaged(how),
        }
    }
}

fn place(key: Option<&Key>) -> String {
    key.map_or_else(|| "here yet".into(), |key| format!("under the key {key}"))
}
