//! The errors of a map. Each message says what to do; an error of the system keeps its errno.

use crate::protocol::Refused;
use shm_api::{AttachError, CreateError, Key, OsError};
use shm_sync::SyncError;

/// `EBUSY` of the system; `ERROR_BUSY` on Windows.
const EBUSY: i32 = if cfg!(windows) { 170 } else { 16 };

/// Why an operation on a map failed. It has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// There is no map here yet, and the options have no `memory`, so none was created.
    #[error("there is no map {}: pass `memory` to create it, or check the key", place(key.as_ref()))]
    Fresh {
        /// The key under which there is none; `None` if a region was given, and no key.
        key: Option<Key>,
    },
    /// The bytes are no map.
    #[error("the bytes here are not a map (they begin with {found:#010x}): check the key")]
    Foreign {
        /// The first word.
        found: u32,
    },
    /// The map was created by another version of this library.
    #[error(
        "this map has layout version {found}, and this library knows version {known}: put a version into the key \
         while both are in use"
    )]
    Version {
        /// The version found.
        found: u8,
        /// The version that this library knows.
        known: u8,
    },
    /// It was created with another value of an option.
    #[error(
        "this map was created with {option}={}, opened with {option}={}: leave the option out, or open the map with the \
         options it was created with",
        shown(option, *found), shown(option, *wanted)
    )]
    Options {
        /// The option.
        option: &'static str,
        /// The value it was created with.
        found: u64,
        /// The value it was opened with.
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
        /// The length of the longest value that fits, with this key and these tags.
        most: usize,
    },
    /// The map has no room, and does not evict.
    #[error("the map is full: remove entries, create it with more memory and entries, or with `evict`")]
    Full,
    /// The value is not a whole number within 2^53 - 1, or the sum would not be one.
    #[error("only a whole number within 2^53 - 1 can be incremented: set the entry first")]
    NotANumber,
    /// Another writer held the shard for longer than the lock timeout.
    #[error(
        "another writer holds this part of the map (EBUSY): is it stopped? Try again, or raise the lock timeout"
    )]
    Busy,
    /// The map was opened read-only.
    #[error("a read-only map cannot be written to: open it for writing")]
    ReadOnly,
    /// The bytes contradict each other.
    #[error("the map is damaged ({0}): destroy its segment, and create it anew")]
    Damaged(&'static str),
    /// The map cannot be used for another reason.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The segment was not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The segment was not attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Each attach found no segment, and each create found one.
    #[error("segment {key} is created and destroyed again and again: choose another key")]
    Unsteady {
        /// The key.
        key: Key,
    },
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// The value of an option, as a program writes it.
fn shown(option: &str, value: u64) -> String {
    if option == "evict" { (value != 0).to_string() } else { value.to_string() }
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

    /// The error for an operation with a value of `length` bytes that a shard refused.
    pub(crate) fn of(refused: Refused, length: usize) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::TooLong(most) => Self::TooLong { length, most },
            Refused::NotANumber => Self::NotANumber,
            Refused::Damaged(how) => Self::Damaged(how),
        }
    }
}

fn place(key: Option<&Key>) -> String {
    key.map_or_else(|| "here yet".into(), |key| format!("under the key {key}"))
}
