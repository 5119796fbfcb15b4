//! Private mappings of objects are refused (`EINVAL`), and in a shared one without `PROT_WRITE` a stray write is a
//! signal that ends the process.

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use std::{io, os::fd::OwnedFd};

/// What to do where an object cannot be mapped.
pub(crate) const fn advise(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOMEM => "There is no free address range for it: detach segments.",
        Errno::ENOTSUP => {
            "macOS has no read-only view of a shared memory object that survives a stray write: attach it for writing."
        }
        _ => "",
    }
}

pub(super) fn read_only(_options: &MmapOptions, _file: &OwnedFd) -> io::Result<MmapRaw> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}
