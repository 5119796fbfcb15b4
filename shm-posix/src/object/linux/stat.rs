//! What the system says about an object.

use nix::{
    errno::Errno,
    sys::stat::{FileStat, fstat, lstat},
};
use shm_lifetime::{Entry, ObjectId, statx, wide};
use std::{
    ffi::CStr,
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The result of `statx`, or of `fstat` if there is no `statx`.
#[derive(Clone, Copy)]
pub(crate) struct Stat {
    inode: u64,
    device: u64,
    /// In nanoseconds since 1970; 0 is unknown.
    born: u64,
    uid: u32,
    gid: u32,
    mode: u32,
    size: i64,
    is_unlinked: bool,
    blocks: u64,
    /// In seconds since 1970.
    changed: i64,
}

impl Stat {
    /// That of an open file. Safe in a signal handler.
    pub(super) fn of(file: &OwnedFd) -> Result<Self, Errno> {
        match statx::statx(file.as_raw_fd(), c"", libc::AT_EMPTY_PATH) {
            Err(errno) if is_missing(errno) => fstat(file).map(|stat| Self::from_older(&stat)),
            told => told.map(|stat| Self::from_statx(&stat)),
        }
    }

    /// That of what a path leads to, a link itself and not its target. Safe in a signal handler.
    pub(super) fn of_path(path: &CStr) -> Result<Self, Errno> {
        match statx::statx(libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW) {
            Err(errno) if is_missing(errno) => lstat(path).map(|stat| Self::from_older(&stat)),
            told => told.map(|stat| Self::from_statx(&stat)),
        }
    }

    fn from_older(stat: &FileStat) -> Self {
        Self {
            inode: wide(stat.st_ino),
            device: stat.st_dev,
            born: 0,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode,
            size: wide(stat.st_size),
            is_unlinked: stat.st_nlink == 0,
            blocks: stat.st_blocks as u64,
            changed: wide(stat.st_ctime),
        }
    }

    const fn from_statx(stat: &libc::statx) -> Self {
        Self {
            inode: stat.stx_ino,
            device: statx::device(stat),
            born: statx::born(stat),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mode: stat.stx_mode as u32,
            size: stat.stx_size as i64,
            is_unlinked: stat.stx_nlink == 0,
            blocks: stat.stx_blocks,
            changed: stat.stx_ctime.tv_sec,
        }
    }

    /// What distinguishes it from other objects that have had its name.
    pub(crate) fn identity(&self, _owner: u32, _known: impl FnOnce() -> Option<Entry>) -> ObjectId {
        self.id()
    }

    /// The same, for the creator.
    pub(crate) const fn identity_when_made(&self, _entry: &Entry) -> ObjectId {
        self.id()
    }

    pub(crate) const fn id(&self) -> ObjectId {
        ObjectId { number: self.inode, born: self.born }
    }

    /// Whether it is the object that an entry of this device stands for. An object whose size was changed is still the
    /// same. The size counts only if the time of creation is not known: tmpfs tells it since Linux 5.18, and earlier
    /// versions of this library did not store it.
    pub(crate) fn is_of(&self, _owner: u32, entry: &Entry) -> bool {
        let Some(object) = entry.object else { return false };
        let is_as_made = match self.size as u64 {
            0 => true, // its creator died before it gave it a size
            size => entry.size == 0 || size == entry.size,
        };
        object.matches(self.id()) && (object.born != 0 && self.born != 0 || is_as_made)
    }

    pub(crate) const fn device(&self) -> u64 {
        self.device
    }

    pub(crate) const fn uid(&self) -> u32 {
        self.uid
    }

    pub(crate) const fn gid(&self) -> u32 {
        self.gid
    }

    pub(crate) const fn mode(&self) -> u32 {
        self.mode & 0o777
    }

    pub(crate) const fn size(&self) -> i64 {
        self.size
    }

    /// The size that its creator asked for.
    pub(crate) fn exact_size(&self, _owner: u32, _known: Option<&Entry>) -> i64 {
        self.size
    }

    /// The bytes of room that it has.
    pub(super) const fn room(&self) -> u64 {
        self.blocks * 512
    }

    /// When it was created, or its inode last changed.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        u64::try_from(self.changed).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)))
    }

    /// Whether it is a regular file, and so an object at all.
    pub(crate) const fn is_object(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Its name is gone: shm_unlink(3) "removes a shared memory object name, and, once all processes have
    /// unmapped the object, deallocates and destroys the contents".
    pub(crate) const fn is_unlinked(&self) -> bool {
        self.is_unlinked
    }
}

/// `ENOSYS` before Linux 4.11, `EPERM` from a seccomp filter that is older than the call.
const fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM)
}
