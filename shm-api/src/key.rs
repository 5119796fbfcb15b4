//! The key of a segment.

use crate::{InvalidKey, OsError};
use std::{borrow::Cow, cell::RefCell, fmt, num::NonZeroU32};

/// For a failed call that has no errno of its own: `EIO`, or `ERROR_IO_DEVICE`.
const EIO: i32 = if cfg!(windows) { 1117 } else { 5 };

/// How the name of an integer key begins.
const ID_PREFIX: &str = "shm-node-";

/// The name of a segment: an integer, as System V has it, or a string, as POSIX has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// 1 to 2^32-1: the 32 bits that `shmget` takes as its `key_t`.
    Id(NonZeroU32),
    /// A name, as `shm_open` takes it.
    Name(Name),
}

impl Key {
    /// A key from the system's random source, 1 to 2^31-1, so that it is positive as a `key_t` too.
    ///
    /// # Errors
    ///
    /// If that source fails.
    pub fn random() -> Result<Self, OsError> {
        thread_local! {
            /// One system call fetches many. A child of a fork has the same ones, and finds them taken.
            static STOCK: RefCell<Vec<NonZeroU32>> = const { RefCell::new(Vec::new()) };
        }
        STOCK.with_borrow_mut(|stock| {
            loop {
                if let Some(id) = stock.pop() {
                    return Ok(Self::Id(id));
                }
                let mut bytes = [0; 256];
                getrandom::fill(&mut bytes).map_err(|error| {
                    OsError::new("getrandom", error.raw_os_error().unwrap_or(EIO))
                        .advise("Pass a key of your own.")
                })?;
                let numbers = bytes
                    .chunks_exact(4)
                    .map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
                stock.extend(numbers.filter_map(|number| NonZeroU32::new(number >> 1)));
            }
        })
    }

    /// An integer key; `None` for 0, which is `IPC_PRIVATE` for `shmget`, so that no process can look it up.
    pub const fn id(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(Self::Id(id)),
            None => None,
        }
    }

    /// The name of the object that the key stands for, on backends whose objects have names: a name without its slash,
    /// and `shm-node-%08x` for an integer.
    pub fn object_name(&self) -> Cow<'_, str> {
        match self {
            Self::Id(id) => format!("{ID_PREFIX}{id:08x}").into(),
            Self::Name(name) => name.bare().into(),
        }
    }

    /// The key of an object with that [name](Self::object_name); `None` if it cannot be one.
    pub fn of_object_name(bare: &str) -> Option<Self> {
        let id =
            bare.strip_prefix(ID_PREFIX).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(Self::id);
        // Only as we write it: eight digits, lower case.
        id.filter(|id| id.object_name() == bare).or_else(|| Self::name(bare).ok())
    }

    /// A string key, with or without its leading slash.
    pub fn name(name: &str) -> Result<Self, InvalidName> {
        Name::new(name).map(Self::Name)
    }
}

/// A [name](Key::name).
impl TryFrom<&str> for Key {
    type Error = InvalidKey;

    fn try_from(name: &str) -> Result<Self, InvalidKey> {
        Ok(Self::name(name)?)
    }
}

/// An [integer](Key::id).
impl TryFrom<u32> for Key {
    type Error = InvalidKey;

    fn try_from(id: u32) -> Result<Self, InvalidKey> {
        Self::id(id).ok_or(InvalidKey::Zero)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id} (0x{id:08x})"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// A valid POSIX object name. It always has its leading slash, and no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// The most bytes a name may have after its slash: `NAME_MAX` of Linux file systems.
    pub const MAX_LEN: usize = 255;

    /// Checks a name. You may leave the leading slash out.
    ///
    /// # Errors
    ///
    /// A name that is empty, over-long, `.` or `..`, or that holds a further slash or a NUL.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        match bare {
            "" => Err(InvalidName::Empty),
            "." | ".." => Err(InvalidName::Dots),
            _ if bare.contains('/') => Err(InvalidName::Slash),
            _ if bare.contains('\0') => Err(InvalidName::Nul),
            _ if bare.len() > Self::MAX_LEN => Err(InvalidName::TooLong { len: bare.len() }),
            _ => Ok(Self(format!("/{bare}").into())),
        }
    }

    /// The name with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its leading slash: the file name below `/dev/shm` on Linux.
    pub fn bare(&self) -> &str {
        &self.0[1..]
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a string is not a name of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Nothing is left after the slash.
    #[error("a name needs at least one character after its slash")]
    Empty,
    /// `.` and `..` are directories.
    #[error("\".\" and \"..\" are not names")]
    Dots,
    /// A slash other than the leading one.
    #[error("a name has no slash but the leading one")]
    Slash,
    /// A NUL byte ends a name in C.
    #[error("a name has no NUL character")]
    Nul,
    /// Longer than [`Name::MAX_LEN`].
    #[error("a name has at most {} bytes, this one has {len}", Name::MAX_LEN)]
    TooLong {
        /// Its length in bytes, the slash not counted.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leading_slash_may_be_left_out() {
        assert_eq!(Name::new("frames").unwrap(), Name::new("/frames").unwrap());
        assert_eq!(Name::new("frames").unwrap().as_str(), "/frames");
        assert_eq!(Name::new("frames").unwrap().bare(), "frames");
    }

    #[test]
    fn an_integer_key_has_a_name_and_the_name_is_that_key() {
        let key = Key::id(0xbeef).unwrap();
        assert_eq!(key.object_name(), "shm-node-0000beef");
        assert_eq!(Key::of_object_name("shm-node-0000beef"), Some(key));
        for name in ["shm-node-beef", "shm-node-0000BEEF", "shm-node-00000000", "shm-node-+000beef"] {
            assert_eq!(Key::of_object_name(name), Key::name(name).ok());
        }
        assert_eq!(Key::of_object_name("a/b"), None);
    }

    #[test]
    fn a_name_stays_inside_its_folder() {
        for name in ["", "/", ".", "..", "/..", "a/b", "//a", "../etc", "a\0b"] {
            assert!(Name::new(name).is_err(), "{name:?}");
        }
        assert!(Name::new(&"x".repeat(255)).is_ok());
        assert_eq!(Name::new(&"x".repeat(256)), Err(InvalidName::TooLong { len: 256 }));
    }

    #[test]
    fn a_random_key_is_positive_as_a_key_t() {
        for _ in 0..1000 {
            let Key::Id(id) = Key::random().unwrap() else { panic!("not an integer") };
            assert!(id.get() <= i32::MAX as u32);
        }
    }
}
