//! What can go wrong. Every error keeps the errno, the call and the key, and says what to do.

use crate::{InvalidName, Key, Mode};
use std::{borrow::Cow, io};

/// A system call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}{}: {}{}{advice}", on(key.as_ref()), io::Error::from_raw_os_error(*errno), if advice.is_empty() { "" } else { ". " })]
pub struct OsError {
    call: &'static str,
    key: Option<Key>,
    errno: i32,
    advice: Cow<'static, str>,
}

fn on(key: Option<&Key>) -> String {
    key.map_or_else(String::new, |key| format!(" of segment {key}"))
}

impl OsError {
    /// `call` failed with `errno`.
    pub const fn new(call: &'static str, errno: i32) -> Self {
        Self { call, key: None, errno, advice: Cow::Borrowed("") }
    }

    /// Names the segment that the call was about.
    #[must_use]
    pub fn on(mut self, key: &Key) -> Self {
        self.key = Some(key.clone());
        self
    }

    /// Adds a sentence that says what the caller can do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = advice.into();
        self
    }

    /// The system call's name.
    pub const fn call(&self) -> &'static str {
        self.call
    }

    /// The segment it was about.
    pub const fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The error number; that of `GetLastError` on Windows.
    pub const fn errno(&self) -> i32 {
        self.errno
    }
}

/// A key that a backend cannot use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// A string key, for a backend that has only integer keys.
    #[error(
        "{backend} has only integer keys, and {key} is a name: pass an integer, or use the POSIX backend"
    )]
    NotAnInteger {
        /// The backend's name.
        backend: &'static str,
        /// The key.
        key: Key,
    },
    /// A name that is too long for this system.
    #[error("the name {key} is too long: it may have at most {most} bytes, with its slash")]
    TooLong {
        /// The key.
        key: Key,
        /// How many bytes it may have.
        most: usize,
    },
    /// A name that the namespace of Windows cannot have.
    #[error("the name {key} has a backslash, which names on Windows cannot have: leave it out")]
    Backslash {
        /// The key.
        key: Key,
    },
    /// A name that is reserved for the library.
    #[error("the name {key} is reserved for this library: choose another")]
    Reserved {
        /// The key.
        key: Key,
    },
    /// The integer that System V reserves for segments without a key.
    #[error("0 is not a key: choose an integer from 1 to 4294967295")]
    Zero,
    /// The string is not a valid name.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// Why a segment was not created. Nothing is left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// That key is taken.
    #[error("segment {key} exists already: attach it, or choose another key")]
    Exists {
        /// The key.
        key: Key,
    },
    /// This backend has no such keys.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The mode does not let the owner read, so the kernel could not be asked about the segment.
    #[error("mode 0{:03o} of segment {key} does not let its owner read: add 0400", mode.bits())]
    Unreadable {
        /// The key.
        key: Key,
        /// The mode that was asked for.
        mode: Mode,
    },
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// Why a segment was not attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is no such segment.
    #[error("there is no segment {key}: create it first")]
    NotFound {
        /// The key.
        key: Key,
    },
    /// This backend has no such keys.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// Why a segment was not destroyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestroyError {
    /// There is no such segment.
    #[error("there is no segment {key}")]
    NotFound {
        /// The key.
        key: Key,
    },
    /// This backend has no such keys.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_and_the_key_and_says_what_to_do() {
        let error = OsError::new("shmget", 28).on(&Key::id(42).unwrap()).advise("Raise kernel.shmmni.");
        let reason = io::Error::from_raw_os_error(28);
        assert_eq!(
            error.to_string(),
            format!("shmget of segment 42 (0x0000002a): {reason}. Raise kernel.shmmni.")
        );
        assert_eq!((error.errno(), error.call()), (28, "shmget"));
    }
}
