//! The four system calls, as safe as they can be made. nix has none of them.

use libc::{c_int, key_t};
use nix::errno::Errno;
use shm_lifetime::wide;
use std::{mem::MaybeUninit, num::NonZeroU32, ptr::NonNull};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::all;
pub(crate) use system::{GUARD, stat};

/// A segment's id, as `shmget` returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) c_int);

impl From<Id> for shm_lifetime::ObjectId {
    fn from(Id(id): Id) -> Self {
        (id as u64).into()
    }
}

/// What the kernel says about a segment.
#[derive(Clone, Copy)]
pub(crate) struct Stat(libc::shmid_ds);

impl Stat {
    pub(crate) const fn key(&self) -> u32 {
        system::key_of(&self.0) as u32
    }

    pub(crate) const fn uid(&self) -> u32 {
        self.0.shm_perm.uid
    }

    pub(crate) const fn gid(&self) -> u32 {
        self.0.shm_perm.gid
    }

    pub(crate) const fn mode(&self) -> u32 {
        self.0.shm_perm.mode as u32 & 0o777
    }

    pub(crate) const fn size(&self) -> usize {
        self.0.shm_segsz
    }

    pub(crate) fn holders(&self) -> u64 {
        system::holders_of(&self.0)
    }

    pub(crate) const fn creator(&self) -> u32 {
        self.0.shm_cpid as u32
    }

    /// When it was created or its mode last changed, in seconds since 1970.
    pub(crate) fn changed(&self) -> i64 {
        wide(self.0.shm_ctime)
    }

    /// `IPC_RMID` was called: it goes with its last attachment, and its key is free already.
    pub(crate) const fn destroyed(&self) -> bool {
        self.0.shm_perm.mode as u32 & system::DESTROYED != 0
    }
}

/// Looks a segment up. shmget(2) checks the permissions that its flags ask for: with none, it asks for none.
pub(crate) fn find(key: NonZeroU32) -> Result<Id, Errno> {
    // SAFETY: shmget takes no pointers.
    Errno::result(unsafe { libc::shmget(key.get() as key_t, 0, 0) }).map(Id)
}

/// Creates a segment; `EEXIST` if the key is taken. The umask does not apply.
pub(crate) fn create(key: NonZeroU32, size: usize, mode: u32) -> Result<Id, Errno> {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode as c_int;
    // SAFETY: shmget takes no pointers.
    Errno::result(unsafe { libc::shmget(key.get() as key_t, size, flags) }).map(Id)
}

/// Attaches for reading and writing, at an address that the kernel chooses.
pub(crate) fn attach(id: Id) -> Result<NonNull<u8>, Errno> {
    attach_with(id, 0)
}

/// Attaches for reading: a write is SIGSEGV.
pub(crate) fn attach_to_read(id: Id) -> Result<NonNull<u8>, Errno> {
    attach_with(id, libc::SHM_RDONLY)
}

fn attach_with(id: Id, flags: c_int) -> Result<NonNull<u8>, Errno> {
    // SAFETY: without an address of ours, shmat(2) chooses "a suitable (unused) page-aligned address".
    let start = unsafe { libc::shmat(id.0, std::ptr::null(), flags) };
    // shmat(2): "on error, (void *) -1 is returned".
    if start.addr() == usize::MAX {
        return Err(Errno::last());
    }
    NonNull::new(start.cast()).ok_or(Errno::EINVAL)
}

/// Detaches what [`attach`] or [`attach_to_read`] returned.
///
/// # Safety
///
/// Nobody uses that memory afterwards.
pub(crate) unsafe fn detach(start: NonNull<u8>) -> Result<(), Errno> {
    // SAFETY: by the caller's promise.
    Errno::result(unsafe { libc::shmdt(start.as_ptr().cast()) }).map(drop)
}

fn control(id: Id, command: c_int) -> Result<(c_int, Stat), Errno> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: these commands write the whole structure on success.
    let result = Errno::result(unsafe { libc::shmctl(id.0, command, raw.as_mut_ptr()) })?;
    // SAFETY: it succeeded.
    Ok((result, Stat(unsafe { raw.assume_init() })))
}

/// Changes the permission bits; the owner stays what `stat` says.
pub(crate) fn set_mode(id: Id, stat: &Stat, mode: u32) -> Result<(), Errno> {
    let mut raw = stat.0;
    raw.shm_perm.mode = mode as _;
    // SAFETY: the structure is filled in and lives through the call.
    Errno::result(unsafe { libc::shmctl(id.0, libc::IPC_SET, &raw mut raw) }).map(drop)
}

/// Marks a segment to go with its last attachment.
pub(crate) fn remove(id: Id) -> Result<(), Errno> {
    // SAFETY: IPC_RMID ignores the pointer.
    Errno::result(unsafe { libc::shmctl(id.0, libc::IPC_RMID, std::ptr::null_mut()) }).map(drop)
}
