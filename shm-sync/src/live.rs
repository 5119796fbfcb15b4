//! Who is alive: the live file.
//!
//! Each thread that holds something has an [`Owner`] id, and its process holds an open-file-description lock
//! on byte `id` of the live file. The kernel drops the lock when the process ends, however it ends; whoever
//! wonders asks `F_OFD_GETLK`. All users of a structure need the same live file, so a structure carries the
//! file's id and refuses others.
//!
//! - A segment that only one user can open: that user's own file, mode 0600 ([`Live::own`]).
//! - A segment that is open to group or others: the file `live.shared`, mode 0666, in the folder of the user
//!   who owns the segment ([`Live::shared`]). Asking for a lock needs no more than read permission, but
//!   holding one and drawing ids needs write permission. A user who may write there can pretend that a dead
//!   owner lives, and stall those who wait; that user could as well scribble over the segment itself.
//!
//! In a fork's child, this process's ids are gone: the child draws new ones, through a description of its own.

mod counter;
mod forks;
mod ids;

use crate::{Owner, SyncError};
use counter::Counter;
use ids::Ids;
use nix::unistd::geteuid;
use shm_api::OsError;
use shm_lifetime::{
    Home,
    ofd_lock::{self, Kind},
};
use std::{
    cell::{Cell, RefCell},
    fs::File,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};

/// A live file that this process uses, and the ids that it drew from it. It is never closed.
#[derive(Debug)]
pub struct Live {
    file: OwnedFd,
    id: u32,
    inode: (u64, u64),
    number: u32,
    ids: Ids,
    next: AtomicPtr<Live>,
}

// For one user's segments, and for those that others may open too.
const OWN: &str = "live";
const SHARED: &str = "live.shared";

static NEWEST: AtomicPtr<Live> = AtomicPtr::new(ptr::null_mut());
static NUMBERS: AtomicU32 = AtomicU32::new(1);

thread_local! {
    // This thread's id under the live file that it used last, as `number << 32 | id`.
    static RECENT: Cell<u64> = const { Cell::new(0) };
    // All of its ids: `(generation, number, id)`.
    static MINE: RefCell<Vec<(u32, u32, u32)>> = const { RefCell::new(Vec::new()) };
}

impl Live {
    /// The live file of this user, for segments that only this user can open.
    ///
    /// # Errors
    ///
    /// Where the folder or the file is not ours alone, or cannot be made.
    pub fn own() -> Result<&'static Self, SyncError> {
        Self::over(Home::of_this_user(geteuid().as_raw())?.file(OWN, Some(0o600))?)
    }

    /// The live file for the segments of user `uid` that others can open too.
    ///
    /// # Errors
    ///
    /// Where it is another user's and does not exist yet: its owner opens it first.
    pub fn shared(uid: u32) -> Result<&'static Self, SyncError> {
        let us = geteuid().as_raw();
        if uid == us {
            return Self::over(Home::of_this_user(us)?.file(SHARED, Some(0o666))?);
        }
        let home = Home::of_other(uid)?;
        Self::over(home.ok_or(SyncError::LiveFile("its owner has not made it yet"))?.file(SHARED, None)?)
    }

    /// The live file in a folder of the caller's choice, made if need be.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, or is no live file.
    pub fn in_folder(folder: &Path) -> Result<&'static Self, SyncError> {
        Self::over(Home::open(folder, geteuid().as_raw())?.file(OWN, Some(0o600))?)
    }

    /// The live file that `file` is, opened for reading and writing. The same file gives the same result.
    ///
    /// # Errors
    ///
    /// Where it holds something else.
    pub fn over(file: OwnedFd) -> Result<&'static Self, SyncError> {
        let inode = inode(&file)?;
        forks::watch();
        let known = || Self::all().find(|live| live.inode == inode);
        // Before the look, so that whoever comes meanwhile is noticed.
        let mut newest = NEWEST.load(Ordering::Acquire);
        if let Some(known) = known() {
            return Ok(known);
        }
        let id = Counter(&file).file_id()?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let live = Self { file, id, inode, number, ids: Ids::default(), next: AtomicPtr::default() };
        // The child of a fork looks through all of them without any lock, so they are never freed.
        let live = Box::into_raw(Box::new(live));
        loop {
            // SAFETY: made above, and nobody else has it yet.
            unsafe { &*live }.next.store(newest, Ordering::Relaxed);
            match NEWEST.compare_exchange(newest, live, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: it is never freed from here on.
                Ok(_) => return Ok(unsafe { &*live }),
                Err(found) => newest = found,
            }
            // Another thread came first, perhaps with the same file: one process has one.
            if let Some(known) = known() {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(live) });
                return Ok(known);
            }
        }
    }

    fn all() -> impl Iterator<Item = &'static Self> {
        let at = |pointer: &AtomicPtr<Self>| {
            // SAFETY: it is null, or was leaked by `over`.
            unsafe { pointer.load(Ordering::Acquire).as_ref() }
        };
        std::iter::successors(at(&NEWEST), move |live| at(&live.next))
    }

    /// The id that the file got when it was made: structures carry it.
    pub const fn file_id(&self) -> u32 {
        self.id
    }

    /// The id of the calling thread.
    ///
    /// # Errors
    ///
    /// Where a new one is needed and cannot be drawn.
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
        let generation = forks::generation();
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

    /// An id that is no thread's, for what acts like one (a JavaScript environment). It lives until
    /// [`retire`](Self::retire) or the end of the process.
    ///
    /// # Errors
    ///
    /// [`SyncError::NoIds`] when all have been used, or where the file cannot be used.
    pub fn new_owner(&self) -> Result<Owner, SyncError> {
        self.ids.draw(|count| {
            let first = Counter(&self.file).advance(count)?;
            self.lock(Kind::Write, first, count)?;
            Ok(first)
        })
    }

    /// Declares an id of [`new_owner`](Self::new_owner) dead: what it holds is up for others, who are told.
    pub fn retire(&self, owner: Owner) {
        if self.ids.retire(owner.get()) {
            // If it fails, others take the owner for alive until this process ends.
            drop(self.lock(Kind::Unlock, owner.get(), 1));
        }
    }

    /// Whether `owner` is of this process, and not retired.
    pub fn is_ours(&self, owner: Owner) -> bool {
        self.ids.contain(owner.get())
    }

    /// Whether `owner` may still be at work: of this process, or its process holds its byte.
    pub fn is_alive(&self, owner: Owner) -> bool {
        // A lock asked for through our own description always looks free.
        if owner.get() == 0 || self.ids.has_retired(owner.get()) {
            return false;
        }
        if self.is_ours(owner) {
            return true;
        }
        // Nobody loses a lock because we could not ask.
        ofd_lock::is_locked(&self.file, owner.get().into()).unwrap_or(true)
    }

    fn lock(&self, kind: Kind, first: u32, count: u32) -> Result<(), SyncError> {
        ofd_lock::set(&self.file, first.into(), count, kind).map_err(|errno| {
            OsError::new("fcntl(F_OFD_SETLK)", errno as i32)
                .advise("The ids just drawn are locked by someone who did not draw them: try again.")
                .into()
        })
    }

    /// In the child of a fork: nothing of the parent's is ours.
    fn forget(&self) {
        self.ids.forget();
        forks::reopen(self.file.as_raw_fd());
    }
}

/// What tells one file from another; an error where it is no regular file.
fn inode(file: &OwnedFd) -> Result<(u64, u64), SyncError> {
    let stat = file.try_clone().and_then(|file| File::from(file).metadata()).map_err(|error| {
        OsError::new("fstat", error.raw_os_error().unwrap_or(libc::EBADF))
            .advise("It was about the live file.")
    })?;
    if stat.is_file() {
        return Ok((stat.dev(), stat.ino()));
    }
    Err(SyncError::LiveFile("it is not a regular file"))
}

/// The generation of this process: what was locked in another one was locked by the parent, before a fork.
#[inline]
pub(crate) fn generation() -> u32 {
    forks::generation()
}

/// An error for what was taken in another generation.
#[inline]
pub(crate) fn check_generation(of: u32) -> Result<(), SyncError> {
    if of == generation() { Ok(()) } else { Err(SyncError::Forked) }
}

#[cfg(test)]
mod tests;
