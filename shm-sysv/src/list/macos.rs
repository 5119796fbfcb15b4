//! The ledger. The kernel has no public call that lists segments (the call of ipcs(1) is private). So the list has only
//! the segments that this user created through the library.

use crate::{describe::describe, sys};
use shm_api::{OsError, SegmentInfo};
use shm_lifetime::{BackendId, EntryName, Lifetime};
use std::num::NonZeroU32;

pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let entries = Lifetime::current()?.entries(BackendId::SysV);
    let mut found: Vec<_> = entries
        .into_iter()
        .filter_map(|entry| {
            let EntryName::Key(key) = entry.name else { return None };
            let key = NonZeroU32::new(key)?;
            let id = sys::find(key).ok().filter(|id| entry.object == Some((*id).into()))?;
            Some(describe(key, id, &sys::stat(id).ok()?))
        })
        .collect();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}
