//! What can be told of a segment without attaching it.

use crate::{Key, Mode};
use std::{num::NonZeroUsize, time::SystemTime};

/// One segment, as [`Backend::info`](crate::Backend::info) and [`List`](crate::List) tell of it.
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
    /// How many mappings of it exist; `None` where the kernel does not count them.
    pub holders: Option<u64>,
    /// The process that created it, where that is known.
    pub creator: Option<u32>,
    /// When it was created, where that is known.
    pub created: Option<SystemTime>,
    /// Whose it is, and whether anyone holds it.
    pub state: State,
}

impl SegmentInfo {
    /// What every backend knows; the rest starts unknown and [`State::Foreign`].
    pub const fn new(key: Key, size: u64, mode: Mode, uid: u32, gid: u32) -> Self {
        let (holders, creator, created) = (None, None, None);
        Self { key, size, mode, uid, gid, holders, creator, created, state: State::Foreign }
    }
}

/// Whose a segment is, and whether anyone holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Created by this user through this library, and held by someone.
    Held,
    /// Created by this user through this library, and held by nobody: the next sweep frees it.
    Orphan,
    /// Created with [`persist`](crate::CreateOptions::persist): stays until it is destroyed.
    Persistent,
    /// Not in this user's ledger: made by another program or another user. Never freed by a detach.
    Foreign,
}

/// What became of a segment when a holder left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detached {
    /// We were the last: it is destroyed.
    Destroyed,
    /// Someone had destroyed it before; only our memory of it was left.
    Gone,
    /// It stays, for this many holders that we know of. A lower bound, at least 1.
    Outlives(NonZeroUsize),
}
