//! Mapping an object.

use memmap2::MmapOptions;
use shm_api::Access;
use std::{
    io,
    mem::ManuallyDrop,
    num::NonZeroUsize,
    os::fd::{AsRawFd, OwnedFd},
    ptr::NonNull,
};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

pub(crate) use system::advise;

/// Maps a whole object; it stays mapped until its [`AddressRange`](shm_lifetime::AddressRange) is dropped.
pub(crate) fn map(file: &OwnedFd, size: NonZeroUsize, access: Access) -> io::Result<NonNull<u8>> {
    let mut options = MmapOptions::new();
    options.len(size.get());
    let mapping = match access {
        Access::ReadWrite => options.map_raw(file.as_raw_fd())?,
        Access::ReadOnly => system::read_only(&options, file)?,
    };
    let mapping = ManuallyDrop::new(mapping); // the caller's range unmaps it
    let start =
        NonNull::new(mapping.as_mut_ptr()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
    // SAFETY: mapped just now, and for both to read and write: a private mapping keeps what is written.
    unsafe { shm_lifetime::shrink::enter(start, size) };
    Ok(start)
}
