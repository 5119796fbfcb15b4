//! Objects of the kernel, as in its source (xnu, `bsd/kern/posix_shm.c`).
//!
//! `fstat` tells mode, owner and size of an object, and zero for everything else. There is no inode, so the ledger says
//! which object a name stands for. Neither the umask nor `fchmod` applies to it. Its size is set once, and rounded up
//! to pages.

use super::Failed;
use memmap2::MmapOptions;
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        mman::{shm_open, shm_unlink},
        stat::{FileStat, Mode, fstat},
    },
    unistd::ftruncate,
};
use shm_api::racy_copy;
use shm_lifetime::{Entry, ObjectId};
use std::{
    ffi::CStr,
    io,
    num::NonZeroUsize,
    os::fd::{AsRawFd, OwnedFd},
    ptr::NonNull,
    time::SystemTime,
};

/// The most bytes of a name, its slash counted: `PSHMNAMLEN`.
pub(crate) const LONGEST_NAME: usize = 31;

/// The call that gives an object its room.
pub(crate) const RESERVE: &str = "ftruncate";

/// The identity of an object that is not in the ledger. (For an object in the ledger, it is the time of creation.)
const FOREIGN: u64 = 0;

/// The largest page: sizes are rounded up to the creator's.
const LARGEST_PAGE: u64 = 16 << 10;

/// What `fstat` tells of an object.
#[derive(Clone, Copy)]
pub(crate) struct Stat(FileStat);

impl Stat {
    /// What distinguishes it from other objects that have had its name, as far as the ledger knows.
    pub(crate) fn identity(&self, owner: u32, known: impl FnOnce() -> Option<Entry>) -> ObjectId {
        known().filter(|entry| self.is_of(owner, entry)).map_or(FOREIGN, |entry| entry.created).into()
    }

    /// The same, for the creator.
    pub(crate) fn identity_when_made(&self, entry: &Entry) -> ObjectId {
        entry.created.into()
    }

    /// Whether it can be the object that an entry in that user's ledger stands for. Another object of the same name,
    /// owner, mode and size is taken for it.
    pub(crate) fn is_of(&self, owner: u32, entry: &Entry) -> bool {
        if self.uid() != owner || self.mode() != entry.mode {
            return false;
        }
        match u64::try_from(self.size()) {
            // Its creator died before it gave it a size.
            Ok(0) => true,
            Ok(size) => {
                let more = size.checked_sub(entry.size);
                entry.object.is_some() && more.is_some_and(|more| more < LARGEST_PAGE)
            }
            Err(_) => false,
        }
    }

    pub(crate) const fn uid(&self) -> u32 {
        self.0.st_uid
    }

    pub(crate) const fn gid(&self) -> u32 {
        self.0.st_gid
    }

    pub(crate) const fn mode(&self) -> u32 {
        self.0.st_mode as u32 & 0o777
    }

    /// In whole pages.
    pub(crate) const fn size(&self) -> i64 {
        self.0.st_size
    }

    /// The size that its creator asked for, if the ledger has it.
    pub(crate) fn exact_size(&self, owner: u32, known: Option<&Entry>) -> i64 {
        match known.filter(|entry| self.size() > 0 && entry.size > 0 && self.is_of(owner, entry)) {
            Some(entry) => entry.size as i64,
            None => self.size(),
        }
    }

    /// Unknown here.
    pub(crate) const fn changed(&self) -> Option<SystemTime> {
        None
    }

    /// Nothing but an object has a name there.
    pub(crate) const fn is_object(&self) -> bool {
        true
    }

    /// Unknown here. It is opened under its name's lock, so only another program can have removed it since.
    pub(crate) const fn is_unlinked(&self) -> bool {
        false
    }
}

/// Opens an object. Its descriptor is closed on exec.
pub(crate) fn open(name: &CStr, access: OFlag) -> Result<(OwnedFd, Stat), Errno> {
    let file = shm_open(with_slash(name).as_c_str()?, access, Mode::empty())?;
    let stat = fstat(&file)?;
    Ok((file, Stat(stat)))
}

/// Copies from an open object, and returns how many bytes. An object can be read only through a mapping, and does not
/// shrink.
pub(crate) fn read(object: OwnedFd, offset: usize, target: &mut [u8]) -> io::Result<usize> {
    let size = fstat(&object).map_or(0, |stat| usize::try_from(stat.st_size).unwrap_or(0));
    let count = target.len().min(size.saturating_sub(offset));
    if count == 0 {
        return Ok(0);
    }
    let mapping = MmapOptions::new().len(size).map_raw_read_only(object.as_raw_fd())?;
    // SAFETY: `offset` is inside the mapping.
    let source = unsafe { mapping.as_mut_ptr().add(offset) };
    let source = NonNull::new(source).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
    // SAFETY: `count` bytes are there on both sides, and no reference spans an object's bytes.
    unsafe { racy_copy(source, NonNull::from(target).cast(), count) };
    Ok(count)
}

/// Describes the object that has a name. It has to be opened for that, so an object that this user may not read is an
/// error.
pub(crate) fn look_up(name: &CStr) -> Result<Option<Stat>, Errno> {
    match open(name, OFlag::O_RDONLY) {
        Ok((_, stat)) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes a name.
pub(crate) fn unlink(name: &CStr) -> Result<(), Errno> {
    shm_unlink(with_slash(name).as_c_str()?)
}

/// There are no objects without a name.
pub(crate) const fn make_unnamed(
    _size: u64,
    _mode: u32,
    _reserve: bool,
) -> Result<Option<(OwnedFd, Stat)>, Failed> {
    Ok(None)
}

/// Never called, because there are no objects without a name.
pub(crate) const fn publish(_file: &OwnedFd, _name: &CStr) -> Result<(), Failed> {
    Err(Failed { call: "linkat", errno: Errno::ENOSYS })
}

/// Makes an object under its name. Until it has its size, a reader sees an empty object, and gets `EAGAIN`. `note` is
/// called after the object has its name, and before its size is set. A process that dies before the note leaves an
/// empty object. So only an empty object is taken for that of an entry without a note.
pub(crate) fn make_named(
    name: &CStr,
    size: u64,
    mode: u32,
    _reserve: bool,
    note: impl FnOnce(&Stat),
) -> Result<(OwnedFd, Stat), Failed> {
    let size = i64::try_from(size).map_err(|_| Failed { call: RESERVE, errno: Errno::EFBIG })?;
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
    let wanted = Mode::from_bits_truncate(mode as libc::mode_t);
    let slashed = with_slash(name);
    let file =
        slashed.as_c_str().and_then(|name| shm_open(name, flags, wanted)).map_err(Failed::of("shm_open"))?;
    let made = fstat(&file).and_then(|stat| {
        note(&Stat(stat));
        ftruncate(&file, size)
    });
    let made = made.and_then(|()| fstat(&file)).map(Stat).and_then(|stat| {
        // A system whose umask does apply: nothing can give the bits back.
        if stat.mode() == mode { Ok(stat) } else { Err(Errno::EPERM) }
    });
    match made {
        Ok(stat) => Ok((file, stat)),
        Err(errno) => {
            let _ = unlink(name);
            Err(Failed { call: RESERVE, errno })
        }
    }
}

/// There is no limit to check: objects are memory that can be swapped.
pub(crate) const fn check_free(_file: &OwnedFd, _size: u64) -> Result<(), Failed> {
    Ok(())
}

/// There is no call that reserves room: pages are allocated when they are touched.
pub(crate) const fn reserve(_file: &OwnedFd, _size: u64) -> Result<(), Failed> {
    Ok(())
}

/// What to do where an object cannot be made.
pub(crate) fn advise_to_make(errno: Errno, size: NonZeroUsize) -> String {
    match errno {
        Errno::EPERM => {
            "The umask of this process takes bits of that mode away, and this system has no way to give \
                         them to a shared memory object: change the umask, or the mode."
                .into()
        }
        Errno::EINVAL => format!("Asked for {size} bytes: ask for less."),
        _ => String::new(),
    }
}

/// A name as C programs have it: here the slash is part of it. On the stack, as a signal handler asks for it too.
struct Slashed([u8; 258]);

fn with_slash(bare: &CStr) -> Slashed {
    let mut name = [0; 258];
    name[0] = b'/';
    // An entry's name has 255 bytes at the most (see `EntryName`), so that a NUL is left.
    let bare = bare.to_bytes();
    name[1..=bare.len()].copy_from_slice(bare);
    Slashed(name)
}

impl Slashed {
    fn as_c_str(&self) -> Result<&CStr, Errno> {
        CStr::from_bytes_until_nul(&self.0).map_err(|_| Errno::ENAMETOOLONG)
    }
}
