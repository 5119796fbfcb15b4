//! The kernel's word on a recorded object.
//!
//! POSIX counts nobody, but Linux grants a write lease only while nobody else has the file open or mapped:
//! fcntl(2), F_SETLEASE: "A write lease may be placed on a file only if there are no other open file
//! descriptors for the file." A mapping counts as one, and foreign holders count like ours.

use crate::object::{self, FOLDER};
use nix::{errno::Errno, fcntl::OFlag};
use shm_api::Detached;
use shm_lifetime::{BackendId, Check, Kernel, Lifetime, OUTLIVES, Record, skips, step};
use std::{
    ffi::CStr,
    os::fd::{AsRawFd, OwnedFd},
};

/// POSIX objects, asked by a lease.
#[derive(Debug)]
pub(crate) struct PosixKernel;

impl Kernel for PosixKernel {
    const BACKEND: BackendId = BackendId::Posix;
    const COUNTS: bool = false;

    fn settle(_lifetime: &Lifetime, record: &Record) -> Detached {
        let name = record.name.as_c_str();
        let file = match find(record, name) {
            Found::It(file) => file,
            Found::Gone => return Detached::Gone,
            Found::Unknown => return OUTLIVES,
        };
        if record.persist {
            return OUTLIVES;
        }
        // Held, here, is not settled: a child between fork and exec holds it too, so every sweep asks again.
        // Any other answer than yes is a no.
        if !skips(Check::Holders) && !is_ours_alone(&file) {
            return OUTLIVES;
        }
        step();
        // Nobody can open it while the lease is held.
        match object::unlink(name) {
            Ok(()) => Detached::Destroyed,
            Err(Errno::ENOENT) => Detached::Gone,
            Err(_) => OUTLIVES,
        }
    }
}

enum Found {
    It(OwnedFd),
    Gone,
    Unknown,
}

/// Opens the object that a record stands for, and no other of the same name.
fn find(record: &Record, name: &CStr) -> Found {
    let (file, stat) = match open_anyhow(name) {
        Ok(opened) => opened,
        // Nothing there says nothing where another mount lies on this path.
        Err(Errno::ENOENT) => {
            let here = nix::sys::stat::stat(FOLDER).is_ok_and(|folder| folder.st_dev == record.namespace);
            return if here { Found::Gone } else { Found::Unknown };
        }
        Err(Errno::EPERM) => return Found::Gone, // a folder or a device stands in its place
        Err(_) => return Found::Unknown,
    };
    if record.namespace != stat.device() {
        return Found::Unknown; // another mount on this path: our object may still be there, out of sight
    }
    match record.object {
        Some(inode) if inode == stat.inode() && !stat.is_unlinked() => Found::It(file),
        Some(_) => Found::Gone,
        // Its creator died between shm_open and noting the inode: only an empty object can be that one.
        None if stat.size() == 0 && stat.uid() == nix::unistd::geteuid().as_raw() => Found::It(file),
        None => Found::Gone,
    }
}

/// Opens an object of ours, whatever of reading and writing its mode lets us do.
pub(crate) fn open_anyhow(name: &CStr) -> Result<(OwnedFd, object::Stat), Errno> {
    match object::open(name, OFlag::O_RDWR) {
        Err(Errno::EACCES) => object::open(name, OFlag::O_RDONLY),
        opened => opened,
    }
}

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        /// Whether this fresh descriptor is the only thing that refers to the file. The lease goes with it.
        pub(crate) fn is_ours_alone(file: &OwnedFd) -> bool {
            /// fcntl.h; the libc crate has it for few targets.
            const F_SETSIG: libc::c_int = 10;
            // Who opens the file meanwhile waits for us, and the kernel tells us so: by SIGIO, which would end the
            // process, so SIGURG, which is ignored.
            // SAFETY: F_SETSIG takes an integer.
            if unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) } != 0 {
                return false;
            }
            // SAFETY: F_SETLEASE takes an integer.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0 }
        }
    } else {
        /// There are no leases here: a POSIX object goes with its creator's detach.
        pub(crate) fn is_ours_alone(_file: &OwnedFd) -> bool {
            true
        }
    }
}

/// What became of an object that is not ours to destroy.
pub(crate) fn look(name: &CStr, inode: u64) -> Detached {
    match inode_of(name) {
        Some(found) if found != inode => Detached::Gone,
        None => Detached::Gone,
        Some(_) => OUTLIVES,
    }
}

/// The inode that a name leads to, without opening it, so that no lease is disturbed.
pub(crate) fn inode_of(name: &CStr) -> Option<u64> {
    stat_of(name).map(|stat| stat.st_ino)
}

/// What a name leads to, a link itself and not its target.
pub(crate) fn stat_of(name: &CStr) -> Option<nix::sys::stat::FileStat> {
    nix::sys::stat::lstat(CStr::from_bytes_until_nul(&object::path(name)).ok()?).ok()
}
