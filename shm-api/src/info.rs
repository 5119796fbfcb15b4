//! The description of a segment that is not attached.

use crate::{Key, Mode};
use std::{num::NonZeroUsize, time::SystemTime};

/// A description of a segment, from [`Backend::info`](crate::Backend::info) or [`List`](crate::List).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its name.
    pub key: Key,
    /// Its size in bytes; 0 while the creator of a POSIX object has not sized it yet.
    pub size: u64,
    /// Its permission bits.
    pub mode: Mode,
    /// The user that owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// How many mappings of it exist; `None` if the kernel does not count them.
    pub holders: Option<u64>,
    /// The process that created it, where that is known.
    pub creator: Option<u32>,
    /// When it was created, where that is known.
    pub created: Option<SystemTime>,
    /// Who created it, and whether a process holds it.
    pub state: State,
}

impl SegmentInfo {
    /// Makes a description with what every backend knows. The rest is unknown, and the state is [`State::Foreign`].
    pub const fn new(key: Key, size: u64, mode: Mode, uid: u32, gid: u32) -> Self {
        let (holders, creator, created) = (None, None, None);
        Self { key, size, mode, uid, gid, holders, creator, created, state: State::Foreign }
    }
}

/// Who created a segment, and whether a process holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Created by this user with this library, and held by a process.
    Held,
    /// Created by this user with this library, but no process holds it: the next sweep frees it.
    Orphan,
    /// Created with [`persist`](crate::CreateOptions::persist): stays until it is destroyed.
    Persistent,
    /// Not in this user's ledger: made by another program or another user. Never freed by a detach.
    Foreign,
}

/// What became of a segment when a holder left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detached {
    /// This was the last holder: the segment is destroyed.
    Destroyed,
    /// The segment had been destroyed before; only its memory was left.
    Gone,
    /// The segment stays. The number is a lower bound of its holders, at least 1.
    Outlives(NonZeroUsize),
}
