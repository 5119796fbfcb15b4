//! `/proc/self/fd`, mappings, and `shm_nattch`.

use nix::errno::Errno;
use shm_lifetime::shmid;
use std::{
    fs::{self, Metadata},
    mem::MaybeUninit,
    ops::RangeInclusive,
    os::{fd::RawFd, unix::fs::MetadataExt},
    ptr,
};

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

/// The processes that have bytes of a file locked, and which. fcntl(2) tells no pid of a lock of an open file
/// description, but the description does: proc_pid_fdinfo(5), "lock".
pub(super) fn lockers(file: &Metadata) -> Vec<(RangeInclusive<u32>, u32)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    pids.flat_map(|pid| {
        // What this user may not look at, or what has just ended, has none.
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let ours = descriptors.filter(|fd| {
            fs::metadata(fd.path()).is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
        });
        let locks = ours.filter_map(move |fd| {
            let name = fd.file_name();
            fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", name.to_str()?)).ok()
        });
        locks.flat_map(move |locks| {
            locks.lines().filter_map(locked).map(|range| (range, pid)).collect::<Vec<_>>()
        })
    })
    .collect()
}

/// The bytes of a line such as `lock: 1: OFDLCK  ADVISORY  WRITE -1 00:1a:4 77 140`.
fn locked(line: &str) -> Option<RangeInclusive<u32>> {
    let mut words = line.strip_prefix("lock:")?.split_ascii_whitespace();
    let is_ours = words.nth(1)? == "OFDLCK" && words.nth(1)? == "WRITE";
    let (first, last) = (words.nth(2)?.parse().ok()?, words.next()?.parse().ok()?);
    is_ours.then_some(first..=last)
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
