//! Finding out who holds an object in the ledger.
//!
//! Linux tells it by a lease, see `lease`. On macOS, and on file systems whose leases are not reliable, holders leave
//! marks, see `presence`.

use crate::object;
use nix::errno::Errno;
use shm_api::Detached;
use shm_lifetime::{EntryName, Hold, OUTLIVES, fault::step};
use std::ffi::CStr;

mod presence;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod lease;
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

pub(crate) use system::{PosixKernel, Sign, destroy_unheld, is_orphan, namespace};

/// Removes the name of an object that nobody holds, while nobody can attach it.
fn destroy(name: &CStr) -> Detached {
    step();
    match object::unlink(name) {
        Ok(()) => Detached::Destroyed,
        Err(Errno::ENOENT) => Detached::Gone,
        Err(_) => OUTLIVES,
    }
}

/// What became of an object that we may not destroy.
pub(crate) fn look(name: &EntryName, hold: &Hold) -> Detached {
    match object::look_up(name.as_c_str()) {
        Ok(Some(stat)) if stat.identity(hold.uid(), || hold.entry_of(name)) != hold.object => Detached::Gone,
        Ok(None) => Detached::Gone,
        _ => OUTLIVES,
    }
}

/// Whether a name still leads to the object that is held.
pub(crate) fn is_current(name: &EntryName, hold: &Hold) -> bool {
    let found = object::look_up(name.as_c_str()).ok().flatten();
    found.is_some_and(|stat| stat.identity(hold.uid(), || hold.entry_of(name)) == hold.object)
}
