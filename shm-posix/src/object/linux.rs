//! Objects are files, and are opened as such. The `shm_open` of glibc before 2.34 looks for a tmpfs elsewhere if
//! `/dev/shm` is on another file system (in a container on overlayfs, for example), and allocates meanwhile, which a
//! signal handler must not.

mod stat;

use super::Failed;
use libc::off_t;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag},
    sys::{
        stat::{Mode, fchmod},
        statvfs::{Statvfs, fstatvfs, statvfs},
    },
    unistd::{ftruncate, linkat},
};
use shm_lifetime::{
    fault::{cannot_name_objects, lacks_unnamed_objects, step},
    is_beyond_file_limit, reserve_file, wide,
};
use std::{
    ffi::CStr,
    fs::File,
    io,
    num::NonZeroUsize,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
};

pub(crate) use stat::Stat;

/// The most bytes of a name, its slash counted.
pub(crate) const LONGEST_NAME: usize = 256;

/// The call that gives an object its room.
pub(crate) const RESERVE: &str = "fallocate";

/// Opens an object. If the name is not that of a regular file, the error is `EPERM`.
pub(crate) fn open(name: &CStr, access: OFlag) -> Result<(OwnedFd, Stat), Errno> {
    // O_NONBLOCK: a FIFO in the object's place must not block us. open(2): while another process holds a lease, it fails
    // with EWOULDBLOCK.
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = match at(name, |path| nix::fcntl::open(path, flags, Mode::empty())) {
        // A link, a folder, a FIFO or socket.
        Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => return Err(Errno::EPERM),
        opened => opened?,
    };
    let stat = Stat::of(&file)?;
    if stat.is_object() { Ok((file, stat)) } else { Err(Errno::EPERM) }
}

/// Copies from an open object, and returns how many bytes.
pub(crate) fn read(object: OwnedFd, offset: usize, target: &mut [u8]) -> io::Result<usize> {
    let (object, mut done) = (File::from(object), 0);
    // pread(2) refuses what ends behind the last offset of a file.
    let most = (off_t::MAX as u64).saturating_sub(offset as u64);
    let count = target.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    let target = &mut target[..count];
    while done < count {
        match object.read_at(&mut target[done..], (offset + done) as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Describes the file that has a name: a link itself, and not its target. It is not opened, so that no lease is
/// disturbed.
pub(crate) fn look_up(name: &CStr) -> Result<Option<Stat>, Errno> {
    match at(name, Stat::of_path) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes a name.
pub(crate) fn unlink(name: &CStr) -> Result<(), Errno> {
    at(name, nix::unistd::unlink)
}

/// Makes an object without a name, so that no reader ever sees it without its size. `None`: the system cannot do that.
pub(crate) fn make_unnamed(size: u64, mode: u32, reserve: bool) -> Result<Option<(OwnedFd, Stat)>, Failed> {
    if lacks_unnamed_objects() {
        return Ok(None);
    }
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    match nix::fcntl::open(FOLDER, flags, Mode::from_bits_truncate(0o600)) {
        // open(2), O_TMPFILE: EISDIR or ENOENT before Linux 3.11, EOPNOTSUPP where the file system has no such
        // thing.
        Err(Errno::EISDIR | Errno::ENOENT | Errno::EOPNOTSUPP) => Ok(None),
        opened => {
            let file = opened.map_err(Failed::of("open"))?;
            let stat = Stat::of(&file).map_err(Failed::of("statx"))?;
            fill(&file, &stat, size, mode, reserve)?;
            Ok(Some((file, stat)))
        }
    }
}

/// Gives an object its name; `EEXIST` if that is taken.
pub(crate) fn publish(file: &OwnedFd, name: &CStr) -> Result<(), Failed> {
    let link = |path: &CStr| {
        if cannot_name_objects() {
            return Err(Errno::ENOENT);
        }
        // linkat(2), AT_EMPTY_PATH: needs CAP_DAC_READ_SEARCH, or since Linux 6.10 that we opened the file.
        match linkat(file, c"", AT_FDCWD, path, AtFlags::AT_EMPTY_PATH) {
            Err(Errno::ENOENT | Errno::EPERM) => {}
            linked => return linked,
        }
        // The way that open(2) shows for O_TMPFILE; it needs /proc.
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(AT_FDCWD, itself.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
    };
    at(name, link).map_err(Failed::of("linkat"))
}

/// Makes an object under its name. Until it has its size, a reader sees an empty object, and gets `EAGAIN`. `note` is
/// called before the size is set. A process that dies before the note leaves an empty object.
pub(crate) fn make_named(
    name: &CStr,
    size: u64,
    mode: u32,
    reserve: bool,
    note: impl FnOnce(&Stat),
) -> Result<(OwnedFd, Stat), Failed> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file = at(name, |path| nix::fcntl::open(path, flags, Mode::from_bits_truncate(0o600)))
        .map_err(Failed::of("open"))?;
    step();
    let made = Stat::of(&file).map_err(Failed::of("statx")).and_then(|stat| {
        note(&stat);
        step();
        fill(&file, &stat, size, mode, reserve)?;
        Ok(stat)
    });
    match made {
        Ok(stat) => Ok((file, stat)),
        Err(failed) => {
            let _ = unlink(name);
            Err(failed)
        }
    }
}

/// Gives an empty object its mode, its size and its room.
fn fill(file: &OwnedFd, stat: &Stat, size: u64, mode: u32, reserve: bool) -> Result<(), Failed> {
    if stat.mode() != mode {
        // open(2) takes the umask off; fchmod(2) does not.
        fchmod(file, Mode::from_bits_truncate(mode as libc::mode_t)).map_err(Failed::of("fchmod"))?;
    }
    if is_beyond_file_limit(size) {
        let call = if reserve { RESERVE } else { "ftruncate" };
        return Err(Failed { call, errno: Errno::EFBIG });
    }
    if reserve {
        self::reserve(file, size)
    } else {
        let size = off_t::try_from(size).map_err(|_| Errno::EFBIG);
        size.and_then(|size| ftruncate(file, size)).map_err(Failed::of("ftruncate"))
    }
}

/// `ENOSPC` if the file system has less room than the whole object still needs.
///
/// fallocate says so too, but only after the chunks before the failing one have taken all the room, and memory too. And
/// huge pages are touched before they are reserved.
pub(crate) fn check_free(file: &OwnedFd, size: u64) -> Result<(), Failed> {
    let room = fstatvfs(file).map_err(Failed::of("fstatvfs"))?;
    let limited = room.blocks() > 0; // a tmpfs without a limit reports 0
    let held = Stat::of(file).map_err(Failed::of("statx"))?.room();
    if limited && free(&room) < size.saturating_sub(held) {
        return Err(Failed { call: RESERVE, errno: Errno::ENOSPC });
    }
    Ok(())
}

/// Reserves room for the whole object. On a full file system, ftruncate succeeds and the first touch is SIGBUS.
/// fallocate(2) reports ENOSPC; after its success "subsequent writes […] are guaranteed not to fail because of lack of
/// disk space".
pub(crate) fn reserve(file: &OwnedFd, size: u64) -> Result<(), Failed> {
    const LARGE: u64 = 64 << 20;
    if size > LARGE {
        check_free(file, size)?;
    }
    reserve_file(file.as_fd(), 0, size).map_err(|(call, errno)| Failed { call, errno })
}

fn free(room: &Statvfs) -> u64 {
    let (blocks, size): (u64, u64) = (wide(room.blocks_available()), wide(room.fragment_size()));
    blocks * size
}

/// What to do where an object cannot be made.
pub(crate) fn advise_to_make(errno: Errno, size: NonZeroUsize) -> String {
    match errno {
        Errno::ENOSPC => match statvfs(FOLDER) {
            // A file system that has no limit tells no number at all.
            Ok(stat)
                if stat.files() > 0 && stat.files_available() == 0 && free(&stat) >= size.get() as u64 =>
            {
                format!(
                    "{FOLDER} has room, but none of its {} inodes is left, and each file takes one: remove files there \
                 (see `list()`), or mount it with more (tmpfs: `nr_inodes`).",
                    stat.files()
                )
            }
            stat => format!(
                "Asked for {size} bytes; {FOLDER} has {} free: ask for less, free some (see `list()`), or make it \
                 larger (Docker: `--shm-size`).",
                stat.map_or(0, |stat| free(&stat))
            ),
        },
        Errno::EDQUOT => format!(
            "Asked for {size} bytes, which is more than this user's quota on {FOLDER} has left: ask for less, free \
             some (see `list()`), or have the quota raised."
        ),
        Errno::EACCES => format!("{FOLDER} cannot be written by this user."),
        Errno::ENOENT => format!(
            "There is no {FOLDER} here: mount a tmpfs there (`mount -t tmpfs -o mode=1777 tmpfs {FOLDER}`), or use \
             System V."
        ),
        Errno::EROFS => format!("{FOLDER} is mounted read-only: mount it writable, or use System V."),
        Errno::EFBIG => {
            format!("Asked for {size} bytes: this process may not make files that large (`ulimit -f`).")
        }
        _ => String::new(),
    }
}

/// Where glibc and musl keep objects on Linux.
pub(crate) const FOLDER: &str = "/dev/shm";

/// Makes a call with the path of an object. The path is on the stack: a signal handler needs it too.
fn at<T>(name: &CStr, call: impl FnOnce(&CStr) -> nix::Result<T>) -> nix::Result<T> {
    let mut path = [0; FOLDER.len() + 257];
    let (folder, rest) = path.split_at_mut(FOLDER.len());
    folder.copy_from_slice(FOLDER.as_bytes());
    rest[0] = b'/';
    // An entry's name has 255 bytes at the most (see `EntryName`), so that a NUL is left.
    let name = name.to_bytes();
    rest[1..=name.len()].copy_from_slice(name);
    call(CStr::from_bytes_until_nul(&path).map_err(|_| Errno::ENAMETOOLONG)?)
}

/// Functions of the C library that end the tests of this crate where they are called, as nothing here may call them.
#[cfg(test)]
mod not_called {
    use libc::{c_char, c_int, mode_t};

    #[unsafe(no_mangle)]
    extern "C" fn shm_open(_name: *const c_char, _flags: c_int, _mode: mode_t) -> c_int {
        panic!("shm_open was called")
    }

    #[unsafe(no_mangle)]
    extern "C" fn shm_unlink(_name: *const c_char) -> c_int {
        panic!("shm_unlink was called")
    }
}
