//! Owners: a number that stands for one thread, and through the live file for its process.

use super::layout::owner_word;
use std::fmt;

/// An owner id. It comes from a counter and is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(u32);

impl Owner {
    /// The largest id: the two bits above it are flags in the words that hold owners.
    pub const MAX: u32 = owner_word::ID;

    /// The owner that an owner word tells of, whatever its flags; id 0 is nobody.
    pub const fn from_word(word: u32) -> Self {
        Self(word & Self::MAX)
    }

    /// The id.
    pub const fn get(self) -> u32 {
        self.0
    }

    pub(crate) const fn is_nobody(self) -> bool {
        self.0 == 0
    }
}

/// The lock or slot to release belongs to another owner, or to nobody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOurs(pub(crate) Owner);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner {}", self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({})", self.0)
    }
}
