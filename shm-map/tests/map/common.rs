//! Memory that a test has for itself, and a live file that is one too.

use shm_api::Access;
use shm_map::{Map, MapError, MapOptions};
use shm_sync::{Live, Region};
use std::{fs::File, os::fd::FromRawFd, ptr::NonNull, sync::OnceLock};

pub(crate) fn memfd(size: u64) -> File {
    // SAFETY: the name is a string.
    let fd = unsafe { libc::memfd_create(c"shm-map-test".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: just opened, and nobody else has it.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size).unwrap();
    file
}

pub(crate) fn live() -> &'static Live {
    static LIVE: OnceLock<&'static Live> = OnceLock::new();
    LIVE.get_or_init(|| Live::over(memfd(0).into()).unwrap())
}

/// Zeroed memory.
pub(crate) struct Memory(memmap2::MmapRaw);

impl Memory {
    pub(crate) fn new(size: u64) -> Self {
        Self::over(&memfd(size))
    }

    pub(crate) fn over(file: &File) -> Self {
        Self(memmap2::MmapRaw::map_raw(file).unwrap())
    }

    pub(crate) fn region(&self, access: Access) -> Region<'_> {
        let start = NonNull::new(self.0.as_mut_ptr()).unwrap();
        // SAFETY: it stays mapped as long as `self`.
        unsafe { Region::from_raw(start, self.0.len(), access) }
    }

    pub(crate) fn open(&self, options: &MapOptions) -> Result<Map<'_>, MapError> {
        Map::open(self.region(Access::ReadWrite), options, live())
    }
}
