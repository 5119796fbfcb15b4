//! `/proc/self/fd`, mappings, and `shm_nattch`.

use nix::errno::Errno;
use shm_lifetime::shmid;
use std::{fs, mem::MaybeUninit, os::fd::RawFd, ptr};

/// Another description of the same file, also where it has lost its name.
pub(super) fn open_again(fd: RawFd) -> Result<RawFd, Errno> {
    let mut path = *b"/proc/self/fd/..........\0";
    let mut end = 14;
    let mut digits = [0; 10];
    let mut count = 0;
    let mut rest = fd.unsigned_abs();
    while count == 0 || rest > 0 {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    for digit in digits[..count].iter().rev() {
        path[end] = *digit;
        end += 1;
    }
    path[end] = 0;
    let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the path ends with a zero byte.
    Errno::result(unsafe { libc::open(path.as_ptr().cast(), flags) })
}

/// A mapping that nobody touches. It refers to the description, so that closing all descriptors ends no lock.
#[derive(Debug)]
pub(super) struct Kept(usize);

const LENGTH: usize = 4096;

/// Keeps a description, with its locks, until the process ends. A fork's child does not get it.
pub(super) fn keep(fd: RawFd) -> Result<Kept, Errno> {
    let (protection, flags) = (libc::PROT_NONE, libc::MAP_SHARED);
    // SAFETY: a fresh mapping takes nobody's memory.
    let start = unsafe { libc::mmap(ptr::null_mut(), LENGTH, protection, flags, fd, 0) };
    if start == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: just mapped, and ours.
    match Errno::result(unsafe { libc::madvise(start, LENGTH, libc::MADV_DONTFORK) }) {
        Ok(_) => Ok(Kept(start.expose_provenance())),
        Err(errno) => {
            // SAFETY: as above, and nobody uses it.
            unsafe { libc::munmap(start, LENGTH) };
            Err(errno)
        }
    }
}

impl Kept {
    /// For a description that has no locks.
    pub(super) fn end(&self) {
        // SAFETY: `keep` mapped it, and nobody touches it.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(self.0), LENGTH) };
    }
}

/// Whether the memory at an address is a System V segment that nobody but this process has attached.
pub(super) fn is_ours_alone(address: usize) -> bool {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return false };
    let mappings = || maps.lines().filter_map(SystemV::from_line);
    let Some(ours) = mappings().find(|mapping| (mapping.start..mapping.end).contains(&address)) else {
        return false;
    };
    let count = mappings().filter(|mapping| mapping.device == ours.device && mapping.id == ours.id).count();
    let mut found = MaybeUninit::<libc::shmid_ds>::uninit();
    // SAFETY: IPC_STAT writes the whole structure on success.
    if unsafe { libc::shmctl(ours.id, libc::IPC_STAT, found.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: it succeeded.
    let found = unsafe { found.assume_init() };
    // Another key is one of another IPC namespace. shm_nattch counts mappings, as /proc/self/maps lists them.
    shmid::key_of(&found) == ours.key && found.shm_nattch as usize == count
}

/// A line of `/proc/self/maps` about a System V segment: its inode is the segment's id.
struct SystemV<'a> {
    start: usize,
    end: usize,
    device: &'a str,
    id: i32,
    key: libc::key_t,
}

impl<'a> SystemV<'a> {
    fn from_line(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let device = words.nth(2)?;
        let id = words.next()?.parse().ok()?;
        let key = words.next()?.strip_prefix("/SYSV")?;
        let number = |digits| usize::from_str_radix(digits, 16).ok();
        let key = u32::from_str_radix(key, 16).ok()?.cast_signed();
        Some(Self { start: number(start)?, end: number(end)?, device, id, key })
    }
}
