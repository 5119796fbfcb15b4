//! The folder of one user's ledger and lock files.

use crate::{Class, descriptor::Descriptor};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat},
    sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, fstatat, lstat, mkdirat},
    unistd::{Gid, fchown},
};
use shm_api::OsError;
use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
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

/// The folder `.shm-node-<uid>`, opened and verified: a real directory, owned by that user, and writable by nobody
/// else. Its parent folders are sticky, so no other user can replace it.
///
/// If something of another user has that name (put there to attack us, or made by the root of another user namespace),
/// the folder is `.shm-node-<uid>.1`, or the next free number.
#[derive(Debug)]
pub struct Home {
    folder: Descriptor,
    uid: u32,
    path: PathBuf,
}

/// What has the name of the folder.
enum Standing {
    Ours(Home),
    AnotherUsers,
    Nothing,
}

impl Home {
    /// The beginning of file names that are reserved for the library.
    pub const PREFIX: &'static str = ".shm-node-";

    /// The name of the live files of coordination, without their class.
    pub const LIVE: &'static str = "live";

    /// Opens the folder of this user. Makes it if there is none.
    ///
    /// # Errors
    ///
    /// If no place can be written, or if something else of this user has the folder's name.
    pub fn of_this_user(uid: u32) -> Result<Self, OsError> {
        let mut refused = None;
        for place in PLACES {
            let found = match Self::find(place, uid)? {
                Some(home) => return Ok(home),
                None => Self::make(place, uid),
            };
            match found {
                Ok(home) => return Ok(home),
                // Only where it can never be written: all processes of the user have to choose alike.
                Err(error)
                    if matches!(error.errno(), libc::EACCES | libc::EROFS | libc::ENOENT | libc::ENOTDIR) =>
                {
                    refused = refused.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(refused.expect("there is a first place"))
    }

    /// Opens the folder of another user; `None` if that user has none, and so has never used the library.
    ///
    /// # Errors
    ///
    /// If other users may write to it.
    pub fn of_other(uid: u32) -> Result<Option<Self>, OsError> {
        for place in PLACES {
            if let Some(home) = Self::find(place, uid)? {
                return Ok(Some(home));
            }
        }
        Ok(None)
    }

    /// A user's folder in one place.
    fn find(place: &str, uid: u32) -> Result<Option<Self>, OsError> {
        if let Standing::Ours(home) = Self::look(&path(place, uid, 0), uid)? {
            return Ok(Some(home));
        }
        // Another user has, or had, that place. If this user may not list the place, it does without.
        let (prefix, mut numbers) = (format!("{}{uid}.", Self::PREFIX), Vec::new());
        if let Ok(entries) = fs::read_dir(place) {
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            numbers.extend(names.filter_map(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        for number in numbers {
            if let Standing::Ours(home) = Self::look(&path(place, uid, number), uid)? {
                return Ok(Some(home));
            }
        }
        Ok(None)
    }

    /// Makes a user's folder under the first name that no other user has taken.
    fn make(place: &str, uid: u32) -> Result<Self, OsError> {
        let mut number = 0;
        loop {
            let path = path(place, uid, number);
            // 0711: another user may reach a file by its name, and list nothing.
            match mkdirat(AT_FDCWD, &path, Mode::from_bits_truncate(FOLDER_MODE)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(failed("mkdir", errno, &path)),
            }
            match Self::look(&path, uid)? {
                Standing::Ours(home) => return Ok(home),
                Standing::AnotherUsers => number += 1,
                Standing::Nothing => {} // it was there a moment ago
            }
        }
    }

    fn look(path: &Path, uid: u32) -> Result<Standing, OsError> {
        let stat = match lstat(path) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => return Ok(Standing::Nothing),
            found => found.map_err(|errno| failed("lstat", errno, path))?,
        };
        if stat.st_uid != uid {
            return Ok(Standing::AnotherUsers);
        }
        let mode = stat.st_mode & 0o777;
        if kind_of(&stat) == SFlag::S_IFDIR && mode & 0o022 == 0 && mode != FOLDER_MODE && is_us(uid) {
            // mkdir(2): the mode is "(mode & ~umask & 01777)", and no longer lets us in, perhaps. Only we can
            // replace our folder there, so the path still leads to it.
            let mode = Mode::from_bits_truncate(FOLDER_MODE);
            fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
                .map_err(|errno| failed("chmod", errno, path))?;
        }
        match Self::open(path, uid) {
            Err(error) if error.errno() == libc::ENOENT => Ok(Standing::Nothing),
            opened => opened.map(Standing::Ours),
        }
    }

    /// Opens the folder at `path`, if it is a real one of that user, and nobody else may write to it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none; `EPERM` if something else has its name.
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
        let folder = if is_us(uid) {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            openat(&folder, ".", flags, Mode::empty()).map_err(|errno| failed("open", errno, path))?
        } else {
            folder
        };
        Ok(Self { folder: Descriptor::new(folder)?, uid, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a descriptor of it. It leads to its files even after a chroot(2).
    ///
    /// # Errors
    ///
    /// If no more files can be opened.
    pub fn folder(&self) -> Result<OwnedFd, OsError> {
        let folder = self.folder.as_fd().try_clone_to_owned();
        folder.map_err(|error| failed("dup", Errno::from_raw(error.raw_os_error().unwrap_or(0)), &self.path))
    }

    /// Opens a file of the folder for reading and writing. With `make`, makes a missing file for the users of that
    /// class.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it is missing and may not be made; `EPERM` if it is not a regular file of the user.
    pub fn file(&self, name: &str, make: Option<Class>) -> Result<OwnedFd, OsError> {
        let path = self.path.join(name);
        if !self.folder.is_open() {
            return Err(failed("open", Errno::EBADF, &path));
        }
        let file = match self.open_file(name, make.is_some()) {
            // A first use under a umask that takes everything away, and its end before it could say otherwise.
            Err(Errno::EACCES) if is_us(self.uid) => {
                let stat = fstatat(&self.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                    .map_err(|errno| failed("lstat", errno, &path))?;
                self.check(&stat, &path)?;
                let mode = Mode::from_bits_truncate(0o600);
                fchmodat(&self.folder, name, mode, FchmodatFlags::FollowSymlink)
                    .map_err(|errno| failed("chmod", errno, &path))?;
                self.open_file(name, make.is_some())
            }
            opened => opened,
        };
        let file = match file {
            Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => return Err(planted(&path)),
            opened => opened.map_err(|errno| failed("open", errno, &path))?,
        };
        let stat = fstat(&file).map_err(|errno| failed("fstat", errno, &path))?;
        self.check(&stat, &path)?;
        if let Some(class) = make {
            give(&file, &stat, class).map_err(|errno| failed("fchmod", errno, &path))?;
        }
        Ok(file)
    }

    fn open_file(&self, name: &str, make: bool) -> nix::Result<OwnedFd> {
        // O_NONBLOCK: a FIFO in the file's place must not hold us up.
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let flags = if make { flags | OFlag::O_CREAT } else { flags };
        openat(&self.folder, name, flags, Mode::from_bits_truncate(0o600))
    }

    fn check(&self, stat: &FileStat, path: &Path) -> Result<(), OsError> {
        if kind_of(stat) == SFlag::S_IFREG && stat.st_uid == self.uid { Ok(()) } else { Err(planted(path)) }
    }
}

/// Lets the users of a class use a file of ours.
fn give(file: &OwnedFd, stat: &FileStat, class: Class) -> nix::Result<()> {
    let mode = match class {
        Class::Group(gid) if stat.st_gid != gid => match fchown(file, None, Some(Gid::from_raw(gid))) {
            Ok(()) => class.mode(),
            // The segment is of a group that we are not in, so its members have to do without.
            Err(Errno::EPERM | Errno::EINVAL) => Class::Owner.mode(),
            Err(errno) => return Err(errno),
        },
        _ => class.mode(),
    };
    if stat.st_mode & 0o777 == mode {
        return Ok(());
    }
    fchmod(file, Mode::from_bits_truncate(mode))
}

const FOLDER_MODE: libc::mode_t = 0o711;

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn is_us(uid: u32) -> bool {
    uid == nix::unistd::geteuid().as_raw()
}

/// The path of the user's folder, or of its replacement with this number.
fn path(place: &str, uid: u32, number: u32) -> PathBuf {
    match number {
        0 => format!("{place}/{}{uid}", Home::PREFIX),
        number => format!("{place}/{}{uid}.{number}", Home::PREFIX),
    }
    .into()
}

fn failed(call: &'static str, errno: Errno, path: &Path) -> OsError {
    let path = path.display();
    OsError::new(call, errno as i32).advise(match errno {
        Errno::EMFILE | Errno::ENFILE => format!(
            "{path} could not be opened, as too many files are open (`ulimit -n`): close some, or raise the limit."
        ),
        Errno::ENOSPC | Errno::EDQUOT => {
            format!("This library keeps its ledger and locks in {path}: free some room there.")
        }
        Errno::EACCES | Errno::EROFS if call == "mkdir" => format!(
            "This library keeps its ledger and locks in {path}: make its parent folder writable for this user."
        ),
        _ => format!("This library keeps its ledger and locks in folders. The call was for {path}."),
    })
}

fn planted(path: &Path) -> OsError {
    OsError::new("open", libc::EPERM).advise(format!(
        "{} was not made by this library, or other users may write to it: remove it.",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_not_taken_for_ours() {
        let path = std::env::temp_dir().join(format!("shm-home-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let us = nix::unistd::geteuid().as_raw();
        for mode in [0o711, 0o755, 0o777] {
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(Home::open(&path, us + 1).unwrap_err().errno(), libc::EPERM, "{mode:o}");
            assert_eq!(Home::open(&path, us).is_ok(), mode != 0o777);
        }
        fs::remove_dir(&path).unwrap();
    }
}
