//! The limits of xnu's `bsd/kern/sysv_shm.c`, which sysctl(8) shows. By default they are small: 4 MiB for a segment and
//! for all together, 32 segments, and 8 attached segments for each process.

use nix::errno::Errno;
use std::{
    ffi::{CStr, c_void},
    num::NonZeroUsize,
    ptr,
};

/// Whether no segment can persist. macOS has no such setting.
pub(crate) const fn all_go_with_their_last_holder() -> bool {
    false
}

pub(crate) fn advise_to_create(errno: Errno, size: NonZeroUsize) -> String {
    match errno {
        Errno::ENOSPC => format!(
            "The system allows {} segments (kern.sysv.shmmni) in all: destroy segments that nobody needs (see \
             `ipcs -m`), or raise the limit.",
            limit(c"kern.sysv.shmmni")
        ),
        Errno::ENOMEM => format!(
            "Asked for {size} bytes. The system allows {} pages (kern.sysv.shmall) in all: destroy segments that \
             nobody needs (see `ipcs -m`), or raise the limit.",
            limit(c"kern.sysv.shmall")
        ),
        Errno::EINVAL => format!(
            "Asked for {size} bytes; the system allows {} (kern.sysv.shmmax): ask for less, or raise the limit.",
            limit(c"kern.sysv.shmmax")
        ),
        _ => String::new(),
    }
}

pub(crate) fn advise_to_attach(errno: Errno) -> String {
    match errno {
        Errno::EACCES => "Its owner's mode does not let this user read and write it.".into(),
        Errno::EMFILE => format!(
            "A process may have {} segments attached (kern.sysv.shmseg): detach some, or raise the limit.",
            limit(c"kern.sysv.shmseg")
        ),
        Errno::ENOMEM => "No address range was free for it: detach segments.".into(),
        _ => String::new(),
    }
}

fn limit(name: &CStr) -> String {
    let mut value = 0_i64;
    let mut len = size_of_val(&value);
    let target = (&raw mut value).cast::<c_void>();
    // SAFETY: it writes `len` bytes at the most, and these limits are 64-bit integers.
    let failed = unsafe { libc::sysctlbyname(name.as_ptr(), target, &raw mut len, ptr::null_mut(), 0) } != 0;
    if failed { "?".into() } else { value.to_string() }
}
