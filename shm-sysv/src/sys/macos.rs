//! The part that only macOS has, as in the source of its kernel (xnu, `bsd/kern/sysv_shm.c`).

use super::{Id, Stat, control};
use libc::key_t;
use nix::errno::Errno;

/// `SHMSEG_REMOVED`. A segment that has it is found by nobody any more, not even while it is held.
pub(super) const DESTROYED: u32 = 0o2000;

/// The permission bits while the kernel is asked whether anyone is left. With none, the owner could not ask either:
/// `IPC_STAT` needs to read, and there is no `SHM_STAT_ANY`. So a program of the same user that attaches for
/// reading only, and knows nothing of our locks, may slip in between the question and the removal.
pub(crate) const GUARD: u32 = 0o400;

/// Describes a segment; `EINVAL` if it is gone, `EACCES` if this user may not read it.
pub(crate) fn stat(id: Id) -> Result<Stat, Errno> {
    control(id, libc::IPC_STAT).map(|(_, stat)| stat)
}

pub(super) const fn key_of(raw: &libc::shmid_ds) -> key_t {
    raw.shm_perm._key
}

pub(super) const fn holders_of(raw: &libc::shmid_ds) -> u64 {
    raw.shm_nattch as u64
}
