//! Attaching: look up under the lock, and map before it is let go.

use crate::{
    WindowsSegment,
    find::{Found, Ours, find},
    range::Placeholder,
    segment::Hold,
};
use shm_api::{Access, AttachError, Key};
use windows_sys::Win32::System::Memory::{FILE_MAP_READ, FILE_MAP_WRITE};

/// Attaches the segment that has a key now.
pub(crate) fn attach(key: &Key, access: Access) -> Result<WindowsSegment, AttachError> {
    let rights = match access {
        Access::ReadWrite => FILE_MAP_READ | FILE_MAP_WRITE,
        Access::ReadOnly => FILE_MAP_READ,
    };
    find(key, rights, |Found { section, size, ours }| {
        let range = Placeholder::reserve(size).and_then(|placeholder| placeholder.map(&section, access));
        let range = range.map_err(|failed| failed.on(key))?;
        let hold = match ours {
            Some(Ours { lock, companion, description }) => {
                Hold::of_ours(section, lock, companion, description.number, false)
            }
            None => Hold::of_foreign(section),
        };
        Ok(WindowsSegment::new(key, size, access, range, hold))
    })
}
