//! Looking a segment up, under its key's lock.

use crate::{
    access::User,
    companion::{Companion, Description},
    failed::{Failed, not_supported},
    lock::Lock,
    name::ObjectName,
    section,
};
use shm_api::{AttachError, Key, Mode, OsError, SegmentInfo, State};
use std::{num::NonZeroUsize, os::windows::io::OwnedHandle, thread};
use windows_sys::Win32::{Foundation::ERROR_NOT_SUPPORTED, System::Memory::FILE_MAP_READ};

/// How often to look at a section that seems to be another program's. It may be ours, of a holder that has just left
/// while others looked, and they let it go in between.
const LOOKS: u32 = 8;

/// A section that has its name now.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) section: OwnedHandle,
    pub(crate) size: NonZeroUsize,
    /// `None` for one that this library did not make.
    pub(crate) ours: Option<Ours>,
}

/// What this library has beside a section of its own.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) lock: Lock,
    pub(crate) companion: Companion,
    pub(crate) description: Description,
}

/// Finds the segment of a key, opens it for `access`, and does something with it before another process can destroy
/// it or take the key.
pub(crate) fn find<T>(
    key: &Key,
    access: u32,
    then: impl FnOnce(Found) -> Result<T, AttachError>,
) -> Result<T, AttachError> {
    let refused = |failed: Failed| AttachError::Os(failed.on(key));
    let missing = || AttachError::NotFound { key: key.clone() };
    let name = ObjectName::of_key(key)?;
    for look in 1.. {
        let lock = Lock::open(&name).map_err(refused)?;
        let guard = lock.as_ref().map(Lock::take).transpose().map_err(refused)?;
        if let Some(lock) = &lock
            && let Some(companion) = Companion::open(&name).map_err(refused)?
        {
            let description = companion.current().map_err(refused)?.ok_or_else(missing)?;
            let section = section::open(&description.section(&name), access).map_err(refused)?;
            let ours = Some(Ours { lock: lock.clone(), companion, description });
            return then(Found { section: section.ok_or_else(missing)?, size: description.size, ours });
        }
        let foreign = find_foreign(key, &name, access)?;
        // Its creator may have come meanwhile: who makes a segment has the lock open first.
        if lock.is_none() && Lock::open(&name).map_err(refused)?.is_some() {
            continue;
        }
        let foreign = foreign.ok_or_else(missing)?;
        if look >= LOOKS {
            return then(foreign);
        }
        drop((foreign, guard));
        thread::yield_now();
    }
    unreachable!("it looks until it finds something or nothing")
}

fn find_foreign(key: &Key, name: &ObjectName, access: u32) -> Result<Option<Found>, OsError> {
    let Some(section) = section::open(&name.section(), access).map_err(|failed| failed.on(key))? else {
        return Ok(None);
    };
    // Its last holder has left just now.
    if section::other_handles(&section).map_err(|failed| failed.on(key))? == 0 {
        return Ok(None);
    }
    let size = section::size_in_pages(&section).map_err(|failed| match failed.code {
        ERROR_NOT_SUPPORTED => {
            not_supported(failed.call, key, "Its pages are reserved, but not committed: they cannot be read.")
        }
        _ => failed.on(key),
    })?;
    Ok(Some(Found { section, size, ours: None }))
}

/// Describes a segment.
pub(crate) fn describe(key: &Key) -> Result<SegmentInfo, AttachError> {
    find(key, FILE_MAP_READ, |found| {
        let holders = section::other_handles(&found.section).map_err(|failed| failed.on(key))?;
        let mut info = match &found.ours {
            None => SegmentInfo::new(key.clone(), found.size.get() as u64, Mode::OWNER, 0, 0),
            Some(Ours { description, .. }) => {
                let Description { size, mode, uid, gid, .. } = *description;
                let mut info = SegmentInfo::new(key.clone(), size.get() as u64, mode, uid, gid);
                info.creator = Some(description.creator);
                info.created = description.created();
                let us = User::of_this_process().map_err(|failed| failed.on(key))?;
                if uid == us.uid() {
                    info.state = State::Held;
                }
                info
            }
        };
        info.holders = Some(holders as u64);
        Ok(info)
    })
}
