//! Only marks: the kernel does not count holders, and has no leases.

use super::{destroy, presence};
use crate::object::{self, Stat};
use nix::errno::Errno;
use shm_api::{Detached, OsError};
use shm_lifetime::{
    BackendId, Entry, EntryName, Kernel, Lifetime, LockFile, OUTLIVES, ObjectId, Presence,
    fault::{Check, skips},
};
use std::ffi::CStr;

/// POSIX objects, whose holders leave marks.
#[derive(Debug)]
pub(crate) struct PosixKernel;

impl Kernel for PosixKernel {
    const BACKEND: BackendId = BackendId::Posix;
    const COUNTS: bool = false;

    fn destroy_unheld(lifetime: &Lifetime, entry: &Entry) -> Detached {
        if lifetime.namespaces().has_ended(entry.namespace) {
            return Detached::Gone;
        }
        let name = entry.name.as_c_str();
        match object::look_up(name) {
            Ok(None) => return Detached::Gone,
            Ok(Some(stat)) if !stat.is_of(lifetime.uid(), entry) => return Detached::Gone,
            Ok(Some(_)) => {}
            Err(_) => return OUTLIVES,
        }
        if entry.persist || (!skips(Check::Holders) && !is_orphan(lifetime, entry)) {
            return OUTLIVES;
        }
        // Nobody of ours can attach it while we have its name's lock.
        destroy(name)
    }
}

/// The namespace in which entries are valid: the boot, because no object outlives it.
pub(crate) const fn namespace(lifetime: &Lifetime, _made: Option<&Stat>) -> u64 {
    lifetime.namespaces().ipc
}

/// Whether nobody holds the object of an entry, under its name's lock.
pub(crate) fn is_orphan(lifetime: &Lifetime, entry: &Entry) -> bool {
    !lifetime.is_anyone_present(entry)
}

/// Removes the name of an object of ours if there is no mark, under the name's lock. For other objects, holders cannot
/// be known.
pub(crate) fn destroy_unheld(lifetime: &Lifetime, name: &EntryName) -> Result<Detached, Errno> {
    match (object::look_up(name.as_c_str())?, lifetime.entry_of(name)) {
        (None, _) => Err(Errno::ENOENT),
        (Some(stat), Some((_, entry)))
            if stat.is_of(lifetime.uid(), &entry) && is_orphan(lifetime, &entry) =>
        {
            Ok(destroy(name.as_c_str()))
        }
        _ => Ok(OUTLIVES),
    }
}

/// What a holder leaves for others to see.
#[derive(Debug)]
pub(crate) struct Sign(Presence);

impl Sign {
    pub(crate) fn begin(
        lifetime: &Lifetime,
        file: LockFile,
        name: &EntryName,
        _namespace: u64,
        created: Option<u64>,
    ) -> Result<Self, OsError> {
        lifetime.mark_presence(file, name.lock_byte(), created).map(Self)
    }

    /// Before the kernel's word is asked.
    pub(crate) fn end(&self) {
        self.0.end();
    }

    /// Waits until ours is the only mark, or `others_leave` says that there is nothing to wait for, then lets go with
    /// `release`.
    pub(crate) fn let_go_and_wait(
        &self,
        _name: &CStr,
        _object: ObjectId,
        others_leave: &dyn Fn() -> bool,
        release: impl FnOnce() -> bool,
    ) -> (bool, ()) {
        presence::wait_for_others(&self.0, others_leave);
        (release(), ())
    }
}
