//! Mapping an object.

use memmap2::{MmapOptions, MmapRaw};
use shm_api::Access;
use std::{
    io,
    mem::ManuallyDrop,
    num::NonZeroUsize,
    os::fd::{AsRawFd, OwnedFd},
    ptr::NonNull,
};

/// Maps a whole object; it stays mapped until its [`AddressRange`](shm_lifetime::AddressRange) is dropped.
pub(crate) fn map(file: &OwnedFd, size: NonZeroUsize, access: Access) -> io::Result<NonNull<u8>> {
    let mut options = MmapOptions::new();
    options.len(size.get());
    let mapping = match access {
        Access::ReadWrite => options.map_raw(file.as_raw_fd())?,
        Access::ReadOnly => read_only(&options, file)?,
    };
    let mapping = ManuallyDrop::new(mapping); // the caller's range unmaps it
    NonNull::new(mapping.as_mut_ptr()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// mmap(2), MAP_PRIVATE: "Updates to the mapping are not visible to other processes mapping the same file, and are
/// not carried through to the underlying file." Reads are live until a page is written; a stray write would be
/// SIGSEGV in a mapping without PROT_WRITE, and here stays in a copy of that page.
fn read_only(options: &MmapOptions, file: &OwnedFd) -> io::Result<MmapRaw> {
    let mut options = options.clone();
    // MAP_NORESERVE: copies that are never made need no swap set aside.
    options.no_reserve_swap();
    // SAFETY: the bytes are reached through pointers, atomics and copies only, so others may change them.
    let mapping = unsafe { options.map_copy(file.as_raw_fd()) }?;
    Ok(mapping.into())
}
