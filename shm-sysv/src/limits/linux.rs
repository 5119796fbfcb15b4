//! The limits of shmget(2), in `/proc/sys/kernel`.

use nix::errno::Errno;
use std::{fs, num::NonZeroUsize};

/// Whether no segment can persist. proc(5), /proc/sys/kernel/shm_rmid_forced: with 1 "it is no longer possible to
/// create shared memory segments that exist independently of any attached process".
pub(crate) fn all_go_with_their_last_holder() -> bool {
    limit("shm_rmid_forced") == "1"
}

pub(crate) fn advise_to_create(errno: Errno, size: NonZeroUsize) -> String {
    match errno {
        Errno::ENOSPC => format!(
            "Asked for {size} bytes. The system allows {} segments (kernel.shmmni) and {} pages (kernel.shmall) in \
             all: destroy segments that nobody needs (see `ipcs -m`), or raise the limit.",
            limit("shmmni"),
            limit("shmall")
        ),
        Errno::EINVAL => format!(
            "Asked for {size} bytes; the system allows {} (kernel.shmmax): ask for less, or raise the limit.",
            limit("shmmax")
        ),
        Errno::ENOMEM => format!("Asked for {size} bytes: the system has not that much memory left."),
        Errno::ENOSYS => "This kernel has no System V shared memory: use the POSIX backend.".into(),
        _ => String::new(),
    }
}

pub(crate) fn advise_to_attach(errno: Errno) -> String {
    match errno {
        Errno::EACCES => "Its owner's mode does not let this user read and write it.".into(),
        Errno::ENOMEM => {
            "There is no free address range for it, or this process has as many mappings as vm.max_map_count allows: \
             detach segments, or raise the limit."
                .into()
        }
        _ => String::new(),
    }
}

fn limit(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default().trim().to_owned()
}
