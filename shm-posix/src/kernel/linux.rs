//! The lease, and where that is not to be trusted, marks as well.

use super::{destroy, lease, presence};
use crate::object::{self, Stat};
use nix::{errno::Errno, fcntl::OFlag};
use shm_api::{Detached, OsError};
use shm_lifetime::{
    BackendId, Class, Entry, EntryName, Kernel, Lifetime, LockFile, OUTLIVES, ObjectId, Presence,
    fault::{Check, skips},
};
use std::{ffi::CStr, os::fd::OwnedFd, thread, time::Duration};

/// POSIX objects, asked by a lease.
#[derive(Debug)]
pub(crate) struct PosixKernel;

impl Kernel for PosixKernel {
    const BACKEND: BackendId = BackendId::Posix;
    const COUNTS: bool = false;

    fn prepare(lifetime: &Lifetime) {
        lease::try_on(namespace(lifetime, None));
    }

    fn destroy_unheld(lifetime: &Lifetime, entry: &Entry) -> Detached {
        let name = entry.name.as_c_str();
        let (file, stat) = match find(lifetime, entry, name) {
            Found::It(file, stat) => (file, stat),
            Found::Gone => return Detached::Gone,
            Found::Unknown => return OUTLIVES,
        };
        if entry.persist {
            return OUTLIVES;
        }
        // Held is no lasting answer: a child between fork and exec holds it too, so every sweep asks again.
        // Any other answer than yes is a no.
        if !skips(Check::Holders) && is_unheld(lifetime, &file, &stat, Some(entry)) != Ok(true) {
            return OUTLIVES;
        }
        // Nobody can open it while the lease is held.
        destroy(name)
    }
}

/// Where the numbers of our objects mean something: the device of their folder. `made` is one of them.
pub(crate) fn namespace(_lifetime: &Lifetime, made: Option<&Stat>) -> u64 {
    match made.map(Stat::device) {
        Some(device) if lease::is_trusted_on(device) => device,
        // On overlayfs files may have another device than their folder.
        _ => nix::sys::stat::stat(object::FOLDER).map_or(UNKNOWN, |stat| stat.st_dev),
    }
}

const UNKNOWN: u64 = 0;

enum Found {
    It(OwnedFd, Stat),
    Gone,
    Unknown,
}

/// Opens the object that an entry stands for, and no other of the same name.
fn find(lifetime: &Lifetime, entry: &Entry, name: &CStr) -> Found {
    let is_here = || entry.namespace != UNKNOWN && namespace(lifetime, None) == entry.namespace;
    let (file, stat) = match open_anyhow(name) {
        Ok(opened) => opened,
        // There is nothing, or a folder or a device. That says nothing where another mount lies on this path.
        Err(Errno::ENOENT | Errno::EPERM) if is_here() => return Found::Gone,
        Err(_) => return Found::Unknown,
    };
    // Overlayfs and disks may have another number after a restart. Then this tells all the same that it is our object.
    let is_known_by_birth = entry.object.is_some_and(|object| object.born != 0 && object == stat.id());
    if entry.namespace != stat.device() && !is_here() && !is_known_by_birth {
        return Found::Unknown; // another mount on this path: our object may still be there, out of sight
    }
    // Its creator died between making it and noting which object it is: only an empty object can be that one.
    let is_just_begun =
        || entry.object.is_none() && stat.size() == 0 && stat.uid() == nix::unistd::geteuid().as_raw();
    if !stat.is_unlinked() && (stat.is_of(lifetime.uid(), entry) || is_just_begun()) {
        Found::It(file, stat)
    } else {
        Found::Gone
    }
}

/// Opens an object of ours, whatever of reading and writing its mode lets us do.
fn open_anyhow(name: &CStr) -> Result<(OwnedFd, Stat), Errno> {
    match object::open(name, OFlag::O_RDWR) {
        Err(Errno::EACCES) => object::open(name, OFlag::O_RDONLY),
        opened => opened,
    }
}

/// Whether nobody holds an object, asked through a fresh descriptor, under its name's lock. Where its mount's leases
/// are not to be trusted, only of one in the ledger can that be known. An error where the file is another user's.
fn is_unheld(lifetime: &Lifetime, file: &OwnedFd, stat: &Stat, entry: Option<&Entry>) -> Result<bool, Errno> {
    let is_unmarked =
        || entry.is_some_and(|entry| tells_of_marks(entry, stat) && !lifetime.is_anyone_present(entry));
    Ok(lease::is_granted(file)? && (lease::is_trusted_on(stat.device()) || is_unmarked()))
}

/// Whether the holders of an object have their marks where its entry says. An entry that does not know when the object
/// was made is of an earlier version of the library, whose holders leave no marks, or it is damaged. And if the object
/// was given another mode, users of another class may hold it. (Under its name it is made empty and for its owner, and
/// gets its mode and its size then. Nobody can attach it before.)
fn tells_of_marks(entry: &Entry, stat: &Stat) -> bool {
    let knows_birth = stat.id().born == 0 || entry.object.is_none_or(|object| object.born != 0);
    let class = Class::of(stat.mode(), stat.gid());
    let is_just_begun = stat.size() == 0 && class == Class::Owner;
    knows_birth && (entry.class() == class || is_just_begun)
}

/// Removes the name of an object if no process holds it, even if another program made it; under the name's lock.
pub(crate) fn destroy_unheld(lifetime: &Lifetime, name: &EntryName) -> Result<Detached, Errno> {
    let (file, stat) = open_anyhow(name.as_c_str())?;
    lease::try_on(stat.device());
    let known = lifetime.entry_of(name).map(|(_, entry)| entry);
    let entry = known.filter(|entry| stat.is_of(lifetime.uid(), entry));
    let unheld = is_unheld(lifetime, &file, &stat, entry.as_ref())?;
    Ok(if unheld { destroy(name.as_c_str()) } else { OUTLIVES })
}

/// Whether nobody holds the object of an entry, under its name's lock.
pub(crate) fn is_orphan(lifetime: &Lifetime, entry: &Entry) -> bool {
    open_anyhow(entry.name.as_c_str()).is_ok_and(|(file, stat)| {
        stat.is_of(lifetime.uid(), entry) && is_unheld(lifetime, &file, &stat, Some(entry)) == Ok(true)
    })
}

/// What a holder leaves for others to see: its mapping, which the kernel sees, or a mark.
#[derive(Debug)]
pub(crate) struct Sign(Option<Presence>);

impl Sign {
    pub(crate) fn begin(
        lifetime: &Lifetime,
        file: LockFile,
        name: &EntryName,
        namespace: u64,
        created: Option<u64>,
    ) -> Result<Self, OsError> {
        if lease::try_on(namespace) {
            return Ok(Self(None));
        }
        lifetime.mark_presence(file, name.lock_byte(), created).map(|mark| Self(Some(mark)))
    }

    /// The mapping is gone, and the kernel's word is about to be asked.
    pub(crate) fn end(&self) {
        if let Some(mark) = &self.0 {
            mark.end();
        }
    }

    /// Lets go with `release` and waits until nobody else holds the object, or `others_leave` says that there is
    /// nothing to wait for. A mark waits first. Of a mapping, a lease
    /// would count our own; a descriptor, opened before, then keeps the others from being the last, until it is
    /// dropped.
    pub(crate) fn let_go_and_wait(
        &self,
        name: &CStr,
        object: ObjectId,
        others_leave: &dyn Fn() -> bool,
        release: impl FnOnce() -> bool,
    ) -> (bool, Option<OwnedFd>) {
        if let Some(mark) = &self.0 {
            presence::wait_for_others(mark, others_leave);
            return (release(), None);
        }
        let opened = open_anyhow(name);
        let released = release();
        let Ok((file, stat)) = opened else { return (released, None) };
        while stat.id() == object && lease::is_granted(&file) != Ok(true) && others_leave() {
            thread::sleep(Duration::from_micros(200));
        }
        // Who attaches it has the name's lock, and would wait for us, as we would for the lock.
        lease::give_back(&file);
        (released, Some(file))
    }
}
