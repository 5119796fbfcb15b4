//! Memory that a test has for itself, or shares with its children, and a live file.

#[cfg_attr(windows, path = "common/windows.rs")]
#[cfg_attr(not(windows), path = "common/linux.rs")]
mod system;

use shm_api::Access;
use shm_map::{Map, MapError, MapOptions};
use shm_sync::Region;

pub(crate) use system::*;

impl Memory {
    pub(crate) fn region(&self, access: Access) -> Region<'_> {
        // SAFETY: it stays mapped as long as `self`.
        unsafe { Region::from_raw(self.start(), self.len(), access) }
    }

    pub(crate) fn open(&self, options: &MapOptions) -> Result<Map<'_>, MapError> {
        Map::open(self.region(Access::ReadWrite), options, live())
    }
}
