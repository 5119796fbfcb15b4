//! The part that only Linux has.

use super::{Id, Stat, control};
use libc::c_int;
use nix::errno::Errno;
pub(super) use shm_lifetime::shmid::key_of;
use shm_lifetime::wide;
use std::mem::MaybeUninit;

// sys/shm.h; the libc crate does not have them.
const SHM_DEST: u32 = 0o1000;
const SHM_STAT: c_int = 13;
const SHM_INFO: c_int = 14;
const SHM_STAT_ANY: c_int = 15;

/// A bit of the mode: `IPC_RMID` was called.
pub(super) const DESTROYED: u32 = SHM_DEST;

/// The permission bits while the kernel is asked whether anyone is left. Only root can attach then.
pub(crate) const GUARD: u32 = 0;

/// Describes a segment, even if this user may not read it; `EINVAL` or `EIDRM` if it is gone.
pub(crate) fn stat(id: Id) -> Result<Stat, Errno> {
    // shmctl(2), SHM_STAT_ANY (Linux 4.17): "Return a shmid_ds structure as for SHM_STAT. However,
    // shm_perm.mode is not checked for read access" — which matters while the mode is 0. It finds by the id's
    // index alone and returns the id of what is there.
    match control(id, SHM_STAT_ANY) {
        Ok((found, stat)) if found == id.0 => return Ok(stat),
        Ok(_) => return Err(Errno::EIDRM),
        Err(_) => {} // an older kernel
    }
    control(id, libc::IPC_STAT).map(|(_, stat)| stat)
}

/// Every segment of the kernel's table; none where there is no System V shared memory.
pub(crate) fn all() -> Result<impl Iterator<Item = (Id, Stat)>, Errno> {
    // shmctl(2), SHM_INFO: "the index of the highest used entry in the kernel's internal array", -1 for none.
    let highest = match highest_index() {
        Err(Errno::ENOSYS) => -1,
        highest => highest?,
    };
    // Both find by the index, and return the id. Before Linux 4.17 what this user may not read is not seen.
    let look = |index| control(Id(index), SHM_STAT_ANY).or_else(|_| control(Id(index), SHM_STAT));
    Ok((0..=highest).filter_map(move |index| look(index).ok()).map(|(id, stat)| (Id(id), stat)))
}

fn highest_index() -> Result<c_int, Errno> {
    let mut info = MaybeUninit::<[libc::c_ulong; 8]>::uninit();
    // SAFETY: it writes a `struct shm_info`, which is an int and five longs; the id is not looked at.
    Errno::result(unsafe { libc::shmctl(0, SHM_INFO, info.as_mut_ptr().cast()) })
}

pub(super) fn holders_of(raw: &libc::shmid_ds) -> u64 {
    wide(raw.shm_nattch)
}
