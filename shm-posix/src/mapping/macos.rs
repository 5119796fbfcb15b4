//! macOS refuses private mappings of objects (`EINVAL`). In a shared mapping without `PROT_WRITE`, a write by mistake
//! raises a signal that ends the process.

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use std::{io, os::fd::OwnedFd};

/// What to do where an object cannot be mapped.
pub(crate) const fn advise(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOMEM => "There is no free address range for it: detach segments.",
        Errno::ENOTSUP => {
            "On macOS, a write to a read-only view would end the process, so there is none: attach it for writing."
        }
        _ => "",
    }
}

pub(super) fn read_only(_options: &MmapOptions, _file: &OwnedFd) -> io::Result<MmapRaw> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}
