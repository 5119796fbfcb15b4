//! The live file shows which owners are alive.
//!
//! Each thread that holds something has an [`Owner`] id, and its process holds an open-file-description lock on byte
//! `id` of the live file. The kernel drops the lock when the process ends, however it ends. Any process can ask for the
//! lock by `F_OFD_GETLK`. If a process cannot find out whether an owner lives, it treats the owner as alive.
//!
//! All users of a structure need the same live file, so a structure has the file's id, and cannot be opened with
//! another file. The id is computed from the file's device, inode and time of creation. So a copy is another file, and
//! damage to its bytes is repaired.
//!
//! A live file lies in the folder of the user who owns the segment, one for each [`Class`] of users who may write to
//! its segments: `live` (mode 0600) for its owner, `live.group-<gid>` (0660, of that group), `live.all` (0666). Only
//! the owner makes them. To ask for a lock, a process needs read permission; to hold one and to draw ids, it needs
//! write permission. A user who may write to the file can pretend that a dead owner lives, and so stall waiters. That
//! user could also overwrite the segment itself.
//!
//! The child of a fork does not have the ids of its parent. It draws new ones, through a file description of its own.
//!
//! Windows has no live file. There a process shows each of its ids by a named event, which the kernel removes when the
//! process ends. All processes of a session have one counter of ids.

mod ids;

cfg_if::cfg_if! {
    if #[cfg(windows)] {
        mod windows;
        use windows as system;
    } else {
        mod unix;
        use unix as system;
    }
}

use crate::protocol::stamp::{MeetingPlace, meet};
use crate::{Owner, SyncError};
use ids::Ids;
use std::{
    cell::{Cell, RefCell},
    ops::RangeInclusive,
    sync::atomic::AtomicU32,
};
pub use system::Deaths;

/// A live file that this process uses, and the ids that it drew from it. Windows has no live files; there it is what
/// all processes of a session have in common.
#[derive(Debug)]
pub struct Live {
    space: system::Space,
    number: u32,
    ids: Ids,
}

thread_local! {
    // This thread's id under the live file that it used last, as `number << 32 | id`.
    static RECENT: Cell<u64> = const { Cell::new(0) };
    // All of its ids: `(generation, number, id)`.
    static MINE: RefCell<Vec<(u32, u32, u32)>> = const { RefCell::new(Vec::new()) };
}

impl Live {
    /// The file's id. A structure has the id of the file with which it was made.
    pub const fn file_id(&self) -> u32 {
        self.space.id()
    }

    /// Whether a structure can be used with this live file. `carried` is the word at offset 4 of the structure, in its
    /// segment. If the structure was made with another file that is gone, and only this process has the segment, the
    /// structure changes to this file.
    pub fn fits(&self, carried: &AtomicU32) -> bool {
        meet(carried, self, true)
    }

    /// Returns the id of the calling thread.
    ///
    /// # Errors
    ///
    /// If a new id is needed and cannot be drawn.
    #[inline]
    pub fn this_thread(&self) -> Result<Owner, SyncError> {
        let recent = RECENT.get();
        let (number, id) = ((recent >> 32) as u32, recent as u32);
        if number == self.number {
            return Ok(Owner::from_word(id));
        }
        self.this_thread_slowly()
    }

    #[cold]
    fn this_thread_slowly(&self) -> Result<Owner, SyncError> {
        let generation = system::generation();
        MINE.with_borrow_mut(|mine| {
            mine.retain(|&(then, ..)| then == generation);
            let known = mine.iter().find(|&&(_, number, _)| number == self.number);
            let owner = match known {
                Some(&(.., id)) => Owner::from_word(id),
                None => {
                    let owner = self.new_owner()?;
                    mine.push((generation, self.number, owner.get()));
                    owner
                }
            };
            RECENT.set(u64::from(self.number) << 32 | u64::from(owner.get()));
            Ok(owner)
        })
    }

    /// Returns an id that belongs to no thread, for something that acts like a thread (a JavaScript environment). It is
    /// alive until [`retire`](Self::retire) or the end of the process.
    ///
    /// # Errors
    ///
    /// [`SyncError::NoIds`] if all ids have been used; other errors if the file cannot be used.
    pub fn new_owner(&self) -> Result<Owner, SyncError> {
        self.ids.draw(|count| self.space.draw(count))
    }

    /// Declares an id of [`new_owner`](Self::new_owner) dead: others can take over what it holds, and are told.
    pub fn retire(&self, owner: Owner) {
        if self.ids.retire(owner.get()) {
            self.space.end(owner);
        }
    }

    /// Whether `owner` belongs to this process, and is not retired.
    pub fn is_ours(&self, owner: Owner) -> bool {
        self.ids.contain(owner.get())
    }

    /// Whether `owner` is alive: it belongs to this process and is not retired, or its process holds its byte.
    pub fn is_alive(&self, owner: Owner) -> bool {
        // A lock asked for through our own description always looks free.
        if owner.get() == 0 || self.ids.has_retired(owner.get()) {
            return false;
        }
        self.is_ours(owner) || self.space.may_live(owner)
    }

    /// Returns the owner ids of each process, as far as this user may know: only root sees the processes of other
    /// users, and on macOS and Windows nothing is known. An owner that is not listed may be alive all the same: see
    /// [`is_alive`](Self::is_alive).
    pub fn processes(&self) -> Vec<(RangeInclusive<u32>, u32)> {
        self.space.processes()
    }
}

impl MeetingPlace for &Live {
    fn id(self) -> u32 {
        self.file_id()
    }

    fn is_abandoned(self, word: &AtomicU32, other: u32) -> bool {
        system::Space::is_abandoned(word, other)
    }
}

/// The generation of this process. What was locked in another generation was locked by the parent, before a fork.
#[inline]
pub(crate) fn generation() -> u32 {
    system::generation()
}

/// An error for what was taken in another generation.
#[inline]
pub(crate) fn check_generation(of: u32) -> Result<(), SyncError> {
    if of == generation() { Ok(()) } else { Err(SyncError::Forked) }
}
