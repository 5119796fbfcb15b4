//! Where the live file lies. The library's per-user folder belongs to `shm-lifetime`; [`own`] and [`of`] are
//! all that is to be replaced by it.

use crate::SyncError;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::{FileStat, Mode, SFlag, fchmod, fstat},
    unistd::{geteuid, mkdir},
};
use shm_api::OsError;
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// Who uses a live file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Its owner only.
    Own,
    /// This user, and all who share its segments.
    With(u32),
}

/// The folder of this user, made if need be.
pub(super) fn own() -> Result<OwnedFd, SyncError> {
    let path = path(geteuid().as_raw());
    match mkdir(&path, Mode::from_bits_truncate(0o711)) {
        Ok(()) => {
            let folder = at(&path)?;
            // The umask may have taken more away; the others have to get through to the shared files.
            fchmod(&folder, Mode::from_bits_truncate(0o711)).map_err(|errno| failed("fchmod", errno))?;
        }
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed("mkdir", errno)),
    }
    of(geteuid().as_raw())
}

/// The folder of user `uid`.
pub(super) fn of(uid: u32) -> Result<OwnedFd, SyncError> {
    let folder = if uid == geteuid().as_raw() && !path(uid).exists() { own()? } else { at(&path(uid))? };
    let stat = stat(&folder)?;
    if stat.st_uid != uid || stat.st_mode & 0o022 != 0 {
        return Err(SyncError::LiveFile("its folder belongs to someone else, or is open to them"));
    }
    Ok(folder)
}

fn path(uid: u32) -> PathBuf {
    let name = format!(".shm-node-{uid}");
    let [first, second] = system::PLACES;
    let path = Path::new(first).join(&name);
    let writable = nix::unistd::access(first, nix::unistd::AccessFlags::W_OK).is_ok();
    if writable || path.exists() { path } else { Path::new(second).join(name) }
}

/// The folder at `path`, never through a link.
pub(super) fn at(path: &Path) -> Result<OwnedFd, SyncError> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    match open(path, flags, Mode::empty()) {
        // A folder of another user lets us through without letting us look.
        Err(Errno::EACCES) => open(path, flags | system::PASSAGE, Mode::empty()),
        opened => opened,
    }
    .map_err(|errno| failed("open", errno))
}

/// The live file in `folder`: a regular file of the right owner, made if it is ours to make.
pub(super) fn open_live_file(folder: &OwnedFd, sharing: Sharing) -> Result<OwnedFd, SyncError> {
    let us = geteuid().as_raw();
    let (name, mode, owner) = match sharing {
        Sharing::Own => ("live", 0o600, us),
        Sharing::With(uid) => ("live.shared", 0o666, uid),
    };
    let mode = Mode::from_bits_truncate(mode);
    // Non-blocking: a FIFO in its place must not stop us.
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let create = if owner == us { OFlag::O_CREAT } else { OFlag::empty() };
    let file = openat(folder, name, flags | create, mode).map_err(|errno| failed("openat", errno))?;
    let stat = stat(&file)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(SyncError::LiveFile("it is not a regular file"));
    }
    if stat.st_uid != owner {
        return Err(SyncError::LiveFile("it belongs to someone else"));
    }
    if owner == us && stat.st_mode & 0o777 != mode.bits() {
        fchmod(&file, mode).map_err(|errno| failed("fchmod", errno))?;
    }
    Ok(file)
}

/// What tells one file from another; an error where it is no regular file.
pub(super) fn inode(file: &OwnedFd) -> Result<(u64, u64), SyncError> {
    let stat = stat(file)?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(SyncError::LiveFile("it is not a regular file"));
    }
    Ok((system::device(&stat), stat.st_ino))
}

fn stat(file: &OwnedFd) -> Result<FileStat, SyncError> {
    fstat(file).map_err(|errno| failed("fstat", errno))
}

fn failed(call: &'static str, errno: Errno) -> SyncError {
    OsError::new(call, errno as i32).advise("It was about the live file or its folder.").into()
}
