//! Private mappings show what others write.

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

/// What to do where an object cannot be mapped.
pub(crate) const fn advise(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOMEM => {
            "There is no free address range for it, or this process has as many mappings as vm.max_map_count allows: \
             detach segments, or raise the limit."
        }
        _ => "",
    }
}

/// mmap(2), MAP_PRIVATE: "Updates to the mapping are not visible to other processes mapping the same file, and are
/// not carried through to the underlying file." Reads show what others write, until this process writes to the page.
/// In a mapping without PROT_WRITE, a write by mistake would be SIGSEGV; here it stays in a copy of that page.
pub(super) fn read_only(options: &MmapOptions, file: &OwnedFd) -> io::Result<MmapRaw> {
    let mut options = options.clone();
    // MAP_NORESERVE: copies that are never made need no swap set aside.
    options.no_reserve_swap();
    // SAFETY: the bytes are reached through pointers, atomics and copies only, so others may change them.
    let mapping = unsafe { options.map_copy(file.as_raw_fd()) }?;
    Ok(mapping.into())
}
