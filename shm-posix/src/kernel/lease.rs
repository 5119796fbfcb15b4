//! A lease.
//!
//! POSIX counts no holders, but Linux grants a write lease only while no other process has the file open or mapped:
//! fcntl(2), F_SETLEASE: "A write lease may be placed on a file only if there are no other open file descriptors for
//! the file." A mapping counts as one, and foreign holders count like ours.
//!
//! This does not hold everywhere. On overlayfs, a mapping of a file belongs to the file of the layer below. So when the
//! descriptor is closed, the lease is granted although the file is mapped. There, a refusal is still right, but a grant
//! proves nothing. So each process checks a mount once: it maps a file that has no name, closes the descriptor, and
//! asks for the lease. (The type of the file system would only tell for known types.) A mount is trusted only if it
//! refuses this lease, and grants it when nothing is mapped any more. Everywhere else holders leave marks, and a grant
//! counts only if there are no marks. So there is no harm if a process does not trust a reliable mount: it uses the
//! lease too.

use crate::object;
use memmap2::MmapOptions;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::{Mode, fstat, stat},
};
use shm_lifetime::fault::lacks_unnamed_objects;
use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The device whose leases were last found to be reliable, and the one whose leases were last found not to be.
static TRUSTED: AtomicU64 = AtomicU64::new(NONE);
static WORTHLESS: AtomicU64 = AtomicU64::new(NONE);

/// No device has this number.
const NONE: u64 = u64::MAX;

/// Whether this fresh descriptor is the only thing that refers to the file, as far as its mount can tell. The lease
/// ends with the descriptor. An error if the file belongs to another user.
pub(super) fn is_granted(file: &OwnedFd) -> Result<bool, Errno> {
    /// fcntl.h; the libc crate has it for few targets.
    const F_SETSIG: libc::c_int = 10;
    // A process that opens the file meanwhile waits for us, and the kernel sends us a signal. SIGIO, the default, would
    // end the process; SIGURG is ignored. SAFETY: F_SETSIG takes an integer.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) })?;
    // SAFETY: F_SETLEASE takes an integer.
    match Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) }) {
        Err(Errno::EAGAIN) => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// Gives a lease back, and keeps the descriptor. An error if there is none does no harm.
pub(super) fn give_back(file: &OwnedFd) {
    // SAFETY: F_SETLEASE takes an integer.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
}

/// Whether a mount is known to grant no lease on what is mapped. Safe in a signal handler.
pub(super) fn is_trusted_on(device: u64) -> bool {
    TRUSTED.load(Relaxed) == device
}

/// The same, but checks the mount if that is not known yet. `device` is that of the folder. If the check is not
/// possible now (too many open files, no inode left), the next call tries again.
pub(super) fn try_on(device: u64) -> bool {
    if is_trusted_on(device) || WORTHLESS.load(Relaxed) == device {
        return is_trusted_on(device);
    }
    match tells_the_truth(device) {
        Ok(Some(true)) => TRUSTED.store(device, Relaxed),
        Ok(Some(false)) => WORTHLESS.store(device, Relaxed),
        Ok(None)
        | Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOSPC | Errno::EDQUOT | Errno::EINTR) =>
            {}
        // No files without a name, no /proc to open one again by, or no leases.
        Err(_) => WORTHLESS.store(device, Relaxed),
    }
    is_trusted_on(device)
}

/// `None`: another process had the file too, such as a child that another thread has forked, before its exec.
fn tells_the_truth(device: u64) -> Result<Option<bool>, Errno> {
    if lacks_unnamed_objects() {
        return Ok(Some(false));
    }
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(object::FOLDER, flags | OFlag::O_TMPFILE, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let again = open(format!("/proc/self/fd/{}", file.as_raw_fd()).as_str(), flags, Mode::empty())?;
    if stat(object::FOLDER)?.st_dev != device {
        return Ok(None); // another mount is there now
    }
    let mapping = MmapOptions::new().len(1).map_raw(&file);
    let mapping = mapping.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::ENOMEM)))?;
    // If a file has another device than its folder, the file system is stacked.
    let stacked = fstat(&file)?.st_dev != device;
    drop(file);
    let granted_while_mapped = is_granted(&again)?;
    drop(mapping);
    Ok(is_granted(&again)?.then_some(!granted_while_mapped && !stacked))
}
