//! A lease.
//!
//! POSIX counts nobody, but Linux grants a write lease only while nobody else has the file open or mapped:
//! fcntl(2), F_SETLEASE: "A write lease may be placed on a file only if there are no other open file
//! descriptors for the file." A mapping counts as one, and foreign holders count like ours.

use super::destroy;
use crate::object;
use nix::{errno::Errno, fcntl::OFlag};
use shm_api::{Detached, OsError};
use shm_lifetime::{BackendId, Check, Kernel, Lifetime, LockFile, OUTLIVES, Record, RecordName, skips};
use std::{
    ffi::CStr,
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// POSIX objects, asked by a lease.
#[derive(Debug)]
pub(crate) struct PosixKernel;

impl Kernel for PosixKernel {
    const BACKEND: BackendId = BackendId::Posix;
    const COUNTS: bool = false;

    fn settle(lifetime: &Lifetime, record: &Record) -> Detached {
        let name = record.name.as_c_str();
        let file = match find(lifetime, record, name) {
            Found::It(file) => file,
            Found::Gone => return Detached::Gone,
            Found::Unknown => return OUTLIVES,
        };
        if record.persist {
            return OUTLIVES;
        }
        // Held, here, is not settled: a child between fork and exec holds it too, so every sweep asks again.
        // Any other answer than yes is a no.
        if !skips(Check::Holders) && is_ours_alone(&file) != Ok(true) {
            return OUTLIVES;
        }
        // Nobody can open it while the lease is held.
        destroy(name)
    }
}

enum Found {
    It(OwnedFd),
    Gone,
    Unknown,
}

/// Opens the object that a record stands for, and no other of the same name.
fn find(lifetime: &Lifetime, record: &Record, name: &CStr) -> Found {
    let (file, stat) = match open_anyhow(name) {
        Ok(opened) => opened,
        // Nothing there says nothing where another mount lies on this path.
        Err(Errno::ENOENT) => {
            let here = object::namespace(lifetime, None);
            return if here != 0 && here == record.namespace { Found::Gone } else { Found::Unknown };
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
fn open_anyhow(name: &CStr) -> Result<(OwnedFd, object::Stat), Errno> {
    match object::open(name, OFlag::O_RDWR) {
        Err(Errno::EACCES) => object::open(name, OFlag::O_RDONLY),
        opened => opened,
    }
}

/// Whether this fresh descriptor is the only thing that refers to the file. The lease goes with it. An error where the
/// file is another user's.
fn is_ours_alone(file: &OwnedFd) -> Result<bool, Errno> {
    /// fcntl.h; the libc crate has it for few targets.
    const F_SETSIG: libc::c_int = 10;
    // Who opens the file meanwhile waits for us, and the kernel tells us so: by SIGIO, which would end the
    // process, so SIGURG, which is ignored.
    // SAFETY: F_SETSIG takes an integer.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) })?;
    // SAFETY: F_SETLEASE takes an integer.
    match Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) }) {
        Err(Errno::EAGAIN) => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// Removes the name of an object if nobody holds it, whoever made it, under the name's lock.
pub(crate) fn destroy_unheld(_lifetime: &Lifetime, name: &RecordName) -> Result<Detached, Errno> {
    let name = name.as_c_str();
    let (file, _) = open_anyhow(name)?;
    Ok(if is_ours_alone(&file)? { destroy(name) } else { OUTLIVES })
}

/// Whether nobody holds the object of a record, under its name's lock.
pub(crate) fn is_orphan(_lifetime: &Lifetime, record: &Record) -> bool {
    match open_anyhow(record.name.as_c_str()) {
        Ok((file, stat)) => record.object == Some(stat.inode()) && is_ours_alone(&file) == Ok(true),
        Err(_) => false,
    }
}

/// What a holder leaves for others to see: its mapping, which the kernel sees.
#[derive(Debug)]
pub(crate) struct Holding(());

impl Holding {
    pub(crate) const fn begin(
        _lifetime: &Lifetime,
        _file: LockFile,
        _name: &RecordName,
        _object: u64,
    ) -> Result<Self, OsError> {
        Ok(Self(()))
    }

    /// The mapping is gone.
    pub(crate) const fn end(&self) {}

    /// Lets go with `release`, then waits until nobody else has the object open or mapped: a lease would count our
    /// own mapping. The descriptor, opened before, keeps the others from being the last, until it is dropped.
    pub(crate) fn let_go_and_wait(
        &self,
        name: &CStr,
        object: u64,
        patience: Duration,
        release: impl FnOnce() -> bool,
    ) -> (bool, Option<OwnedFd>) {
        let deadline = Instant::now() + patience;
        let opened = open_anyhow(name);
        let released = release();
        let Ok((file, stat)) = opened else { return (released, None) };
        while stat.inode() == object && is_ours_alone(&file) != Ok(true) && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
        (released, Some(file))
    }
}
