//! The inodes of the namespaces.

use super::Namespaces;
use crate::{Entry, EntryName, wide};
use nix::sys::stat::stat;

pub(super) fn ours() -> Namespaces {
    let inode = |path| stat(path).map_or(0, |stat| wide(stat.st_ino));
    Namespaces { ipc: inode("/proc/self/ns/ipc"), pid: inode("/proc/self/ns/pid") }
}

pub(super) fn has(ours: &Namespaces, entry: &Entry) -> bool {
    match entry.name {
        EntryName::Key(_) => entry.namespace == ours.ipc,
        EntryName::Name(_) => stat("/dev/shm").is_ok_and(|folder| folder.st_dev == entry.namespace),
    }
}

/// A namespace that we do not live in may live on.
pub(super) const fn has_ended(_ours: &Namespaces, _ipc: u64) -> bool {
    false
}
