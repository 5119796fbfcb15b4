//! The folder of one user's ledger and lock files.

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, openat},
    sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat},
};
use shm_api::OsError;
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux::{PASSAGE, PLACES};
    } else {
        mod macos;
        use macos::{PASSAGE, PLACES};
    }
}

/// The folder `.shm-node-<uid>`, opened and verified: a real directory, owned by that user, and writable by
/// nobody else. Its places are sticky, so once it is ours no other user can replace it.
#[derive(Debug)]
pub struct Home {
    folder: OwnedFd,
    uid: u32,
}

impl Home {
    /// How a file name begins that the library keeps for itself.
    pub const PREFIX: &'static str = ".shm-node-";

    /// The folder of this user, made where it is missing.
    ///
    /// # Errors
    ///
    /// Where no place can be written, or something else stands in the folder's place.
    pub fn of_this_user(uid: u32) -> Result<Self, OsError> {
        let mut refused = None;
        for place in PLACES {
            let path = path(place, uid);
            // 0711: another user may reach `lock.shared` by its name, and list nothing.
            match mkdirat(AT_FDCWD, &path, Mode::from_bits_truncate(0o711)) {
                Ok(()) | Err(Errno::EEXIST) => {
                    let home = Self::open(&path, uid)?;
                    let mode = fstat(&home.folder).map_err(|errno| failed("fstat", errno, &path))?.st_mode;
                    if mode & 0o777 != 0o711 {
                        // mkdir(2): the mode is "(mode & ~umask & 01777)".
                        fchmod(&home.folder, Mode::from_bits_truncate(0o711))
                            .map_err(|errno| failed("fchmod", errno, &path))?;
                    }
                    return Ok(home);
                }
                // Only where it can never be written: all processes of the user have to choose alike.
                Err(errno @ (Errno::EACCES | Errno::EROFS | Errno::ENOENT | Errno::ENOTDIR)) => {
                    refused = refused.or(Some(failed("mkdir", errno, &path)));
                }
                Err(errno) => return Err(failed("mkdir", errno, &path)),
            }
        }
        Err(refused.expect("there is a first place"))
    }

    /// The folder of another user; `None` where that user has none, and so has never used the library.
    ///
    /// # Errors
    ///
    /// Where something else stands in its place.
    pub fn of_other(uid: u32) -> Result<Option<Self>, OsError> {
        for place in PLACES {
            match Self::open(&path(place, uid), uid) {
                Ok(home) => return Ok(Some(home)),
                Err(error) if error.errno() == libc::ENOENT => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The folder at `path`, where that is a real one, of that user, and nobody else may write to it.
    ///
    /// # Errors
    ///
    /// `ENOENT` where there is none; `EPERM` where something else stands in its place.
    pub fn open(path: &Path, uid: u32) -> Result<Self, OsError> {
        // PASSAGE does for another user's folder, whose 0711 does not let us read it; openat(2) takes it.
        let flags = PASSAGE | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let folder = match openat(AT_FDCWD, path, flags, Mode::empty()) {
            Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(planted(path)),
            opened => opened.map_err(|errno| failed("open", errno, path))?,
        };
        let stat = fstat(&folder).map_err(|errno| failed("fstat", errno, path))?;
        if stat.st_uid != uid || stat.st_mode & 0o022 != 0 {
            return Err(planted(path));
        }
        // fchmod(2) refuses a descriptor for passage, so our own folder is opened once more, through the first.
        let folder = if uid == nix::unistd::geteuid().as_raw() {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            openat(&folder, ".", flags, Mode::empty()).map_err(|errno| failed("open", errno, path))?
        } else {
            folder
        };
        Ok(Self { folder, uid })
    }

    /// Opens a file of the folder for reading and writing; `create` is its mode where it may be made.
    ///
    /// # Errors
    ///
    /// `ENOENT` where it is missing and may not be made; `EPERM` where it is no regular file of the user.
    pub fn file(&self, name: &'static str, create: Option<libc::mode_t>) -> Result<OwnedFd, OsError> {
        // O_NONBLOCK: a FIFO in the file's place must not hold us up.
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let flags = if create.is_some() { flags | OFlag::O_CREAT } else { flags };
        let mode = Mode::from_bits_truncate(create.unwrap_or(0));
        let file = match openat(&self.folder, name, flags, mode) {
            Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => return Err(planted(Path::new(name))),
            opened => opened.map_err(|errno| failed("open", errno, Path::new(name)))?,
        };
        let stat = fstat(&file).map_err(|errno| failed("fstat", errno, Path::new(name)))?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG
            || stat.st_uid != self.uid
        {
            return Err(planted(Path::new(name)));
        }
        if create.is_some_and(|wanted| stat.st_mode & 0o777 != wanted) {
            fchmod(&file, mode).map_err(|errno| failed("fchmod", errno, Path::new(name)))?;
        }
        Ok(file)
    }
}

fn path(place: &str, uid: u32) -> PathBuf {
    format!("{place}/{}{uid}", Home::PREFIX).into()
}

fn failed(call: &'static str, errno: Errno, path: &Path) -> OsError {
    let path = path.display();
    OsError::new(call, errno as i32).advise(match errno {
        Errno::EMFILE | Errno::ENFILE => format!(
            "{path} could not be opened, as too many files are open (`ulimit -n`): close some, or raise the limit."
        ),
        Errno::ENOSPC => format!("This library keeps its ledger and locks in {path}: free some room there."),
        _ => format!(
            "This library keeps its ledger and locks in {path}: make its parent folder writable for this user."
        ),
    })
}

fn planted(path: &Path) -> OsError {
    OsError::new("open", libc::EPERM).advise(format!(
        "{} is not what this library put there, or others may write to it: remove it.",
        path.display()
    ))
}
