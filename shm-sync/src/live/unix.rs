//! The live file: on Linux and macOS.

mod counter;
mod deaths;
mod file;
mod forks;

// The functions of both systems that the child of a fork calls allocate nothing.
cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        #[path = "unix/system/linux.rs"]
        mod system;
    } else {
        #[path = "unix/system/macos.rs"]
        mod system;
    }
}

use super::{Ids, Live, RECENT};
use crate::{Owner, SyncError};
use counter::{Belief, Counter, FileId};
pub use deaths::Deaths;
use file::{LiveFile, Origin};
pub(super) use forks::generation;
use nix::{errno::Errno, unistd::geteuid};
use shm_api::{OsError, SegmentInfo};
use shm_lifetime::{
    Class, Home, Identity,
    ofd_lock::{self, LockKind},
};
use std::{
    fs::File,
    ops::RangeInclusive,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};

/// The live file of earlier versions, for all segments that other users may open. It is still used if a structure has
/// its id.
const EARLIER: &str = "live.shared";

/// How often to draw ids again if another process has locked the drawn ones without drawing them.
const ATTEMPTS: u32 = 100;

static NEWEST: AtomicPtr<Live> = AtomicPtr::new(ptr::null_mut());
static NUMBERS: AtomicU32 = AtomicU32::new(1);

/// A live file that this process uses. It is never closed.
#[derive(Debug)]
pub(super) struct Space {
    file: LiveFile,
    id: FileId,
    /// The one before it.
    next: AtomicPtr<Live>,
}

impl Live {
    /// Returns the live file of this user, for segments that only this user can write to.
    ///
    /// # Errors
    ///
    /// If other users can write to the folder or the file, or if it cannot be made.
    pub fn own() -> Result<&'static Self, SyncError> {
        Self::of_class(geteuid().as_raw(), Class::Owner)
    }

    /// Returns the live file for the segments of user `uid` that everybody can write to.
    ///
    /// # Errors
    ///
    /// [`SyncError::NoLiveFile`] if it belongs to another user and does not exist yet: that user makes it with the
    /// first such segment.
    pub fn shared(uid: u32) -> Result<&'static Self, SyncError> {
        Self::of_class(uid, Class::Everybody)
    }

    /// Returns the live file for a structure in a segment: that of the users who may write to the segment. `carried` is
    /// the word at offset 4 of the structure: the id of the live file with which it was made, which may be an earlier
    /// one, or 0.
    ///
    /// # Errors
    ///
    /// [`SyncError::NoLiveFile`] if it belongs to another user, and does not exist or may not be opened.
    pub fn of_segment(segment: &SegmentInfo, carried: u32) -> Result<&'static Self, SyncError> {
        let is_wanted = |live: &&Self| live.file_id() == carried;
        // Processes that use a live file whose folder was removed go on using it.
        if let Some(known) = Self::all().find(|live| carried != 0 && is_wanted(live)) {
            return Ok(known);
        }
        let (uid, mode, group) = (segment.uid, segment.mode.bits(), Class::Group(segment.gid));
        let class = Class::of_writers(mode, segment.gid);
        let live = Self::of_class(uid, class);
        if carried == 0 || live.as_ref().is_ok_and(is_wanted) {
            return live;
        }
        // The mode may have been another one when the structure was made.
        let others = [Class::Owner, group, Class::Everybody].into_iter().filter(|other| *other != class);
        let mut others =
            others.map(|class| Self::existing(uid, &class.file_name(Home::LIVE), belief_in(class)));
        let found = others.find_map(|live| live.ok().filter(is_wanted));
        let earlier = || Self::existing(uid, EARLIER, Belief::Ours).ok().filter(is_wanted);
        found.or_else(earlier).map_or(live, Ok)
    }

    fn of_class(uid: u32, class: Class) -> Result<&'static Self, SyncError> {
        let name = class.file_name(Home::LIVE);
        let us = geteuid().as_raw();
        if uid == us {
            return Self::in_home(&Home::of_this_user(us)?, &name, Some(class), belief_in(class));
        }
        Self::existing(uid, &name, belief_in(class))
    }

    fn existing(uid: u32, name: &str, belief: Belief) -> Result<&'static Self, SyncError> {
        let none = |why| SyncError::NoLiveFile { owner: uid, why };
        let home = Home::of_other(uid)?.ok_or_else(|| none(NOT_MADE))?;
        match Self::in_home(&home, name, None, belief) {
            Err(SyncError::Os(error)) if error.errno() == libc::ENOENT => Err(none(NOT_MADE)),
            Err(SyncError::Os(error)) if error.errno() == libc::EACCES => Err(none(NOT_FOR_US)),
            opened => opened,
        }
    }

    fn in_home(
        home: &Home,
        name: &str,
        make: Option<Class>,
        belief: Belief,
    ) -> Result<&'static Self, SyncError> {
        let file = home.file(name, make)?;
        Self::meet(file, belief, || Origin::of(home, name).map(Some))
    }

    /// Returns the live file in `folder`. Makes it if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is not a live file.
    pub fn in_folder(folder: &Path) -> Result<&'static Self, SyncError> {
        let home = Home::open(folder, geteuid().as_raw())?;
        Self::in_home(&home, Home::LIVE, Some(Class::Owner), Belief::Ours)
    }

    /// Returns the live file over `file`, which is open for reading and writing. The same file gives the same result.
    ///
    /// # Errors
    ///
    /// If the file has other contents.
    pub fn over(file: OwnedFd) -> Result<&'static Self, SyncError> {
        Self::meet(file, Belief::Given, || Ok(None))
    }

    fn meet(
        file: OwnedFd,
        belief: Belief,
        origin: impl FnOnce() -> Result<Option<Origin>, SyncError>,
    ) -> Result<&'static Self, SyncError> {
        let (file, identity) = identify(file)?;
        forks::watch()?;
        let known = || Self::all().find(|live| live.space.file.identity == identity);
        // Before the look, so that a process that comes meanwhile is noticed.
        let mut newest = NEWEST.load(Ordering::Acquire);
        if let Some(known) = known() {
            return Ok(known);
        }
        let id = Counter(file.as_fd()).file_id(identity, belief)?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let file = LiveFile::new(file, identity, origin()?)?;
        let space = Space { file, id, next: AtomicPtr::default() };
        let live = Self { space, number, ids: Ids::default() };
        // The child of a fork looks through all of them without any lock, so they are never freed.
        let live = Box::into_raw(Box::new(live));
        loop {
            // SAFETY: made above, and nobody else has it yet.
            unsafe { &*live }.space.next.store(newest, Ordering::Relaxed);
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
        std::iter::successors(at(&NEWEST), move |live| at(&live.space.next))
    }

    /// In a forked child: forgets everything of the parent.
    fn forget(&self) {
        self.ids.forget();
        self.space.file.renew_in_child();
    }
}

impl Space {
    pub(super) const fn id(&self) -> u32 {
        self.id.id
    }

    /// Draws `count` ids that live until [`end`](Self::end) or the end of the process, and returns the first.
    pub(super) fn draw(&self, count: u32) -> Result<u32, SyncError> {
        let mut attempt = 0;
        loop {
            let file = self.file.get()?;
            let first = Counter(file).advance(count, self.id)?;
            match ofd_lock::set(file, first.into(), count, LockKind::Write) {
                Ok(()) if self.file.is_at(file.as_raw_fd()) => return Ok(first),
                // Somebody closed the file under us, or has locked what was not drawn.
                Ok(()) | Err(Errno::EAGAIN | Errno::EACCES) if attempt < ATTEMPTS => attempt += 1,
                Ok(()) => return Err(OsError::new("fcntl(F_OFD_SETLK)", libc::EBADF).into()),
                Err(errno) => {
                    return Err(OsError::new("fcntl(F_OFD_SETLK)", errno as i32)
                        .advise("Another process has locked ids of the live file that it did not draw: end that process.")
                        .into());
                }
            }
        }
    }

    /// Ends the life of an id of this process. If it fails, others treat the owner as alive until this process ends.
    pub(super) fn end(&self, owner: Owner) {
        if let Ok(file) = self.file.get() {
            let _ = ofd_lock::set(file, owner.get().into(), 1, LockKind::Unlock);
            deaths::announce(file);
        }
    }

    /// Whether an owner of another process may live.
    pub(super) fn may_live(&self, owner: Owner) -> bool {
        // No owner loses a lock because we could not ask, or asked about another file.
        let is_locked = |file| ofd_lock::is_locked(file, owner.get().into()).unwrap_or(true);
        self.file.get().map_or(true, |file| is_locked(file) || !self.file.is_at(file.as_raw_fd()))
    }

    pub(super) fn processes(&self) -> Vec<(RangeInclusive<u32>, u32)> {
        let file =
            self.file.get().ok().and_then(|file| File::from(file.try_clone_to_owned().ok()?).metadata().ok());
        file.map_or_else(Vec::new, |file| system::lockers(&file))
    }

    /// Whether this process does not use the other file, and only this process has the segment.
    pub(super) fn is_abandoned(word: &AtomicU32, other: u32) -> bool {
        !Live::all().any(|live| live.file_id() == other) && system::is_ours_alone(ptr::from_ref(word).addr())
    }
}

const NOT_MADE: &str = "has not made the live file for it yet: let that user open a structure in it first";
const NOT_FOR_US: &str = "keeps the live file for it from this user: only those who may write to the segment may use \
    its structures, and where its group is one that its owner is not in, its owner alone";

/// How far the header of the live file of a class is believed.
const fn belief_in(class: Class) -> Belief {
    match class {
        Class::Owner => Belief::Ours,
        Class::Group(_) | Class::Everybody => Belief::Anybodys,
    }
}

/// The identity of a file; an error if it is no regular file.
fn identify(file: OwnedFd) -> Result<(OwnedFd, Identity), SyncError> {
    let failed = |errno| OsError::new("fstat", errno).advise("The call was for the live file.");
    let file = File::from(file);
    let stat = file.metadata().map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EBADF)))?;
    if !stat.is_file() {
        return Err(SyncError::LiveFile("it is not a regular file"));
    }
    let identity = Identity::of(&file).map_err(|errno| failed(errno as i32))?;
    Ok((file.into(), identity))
}

#[cfg(test)]
mod tests;
