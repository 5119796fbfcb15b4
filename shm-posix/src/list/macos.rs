//! The ledger. The kernel has no call that lists objects. So the list has only the objects that this user created
//! through the library.

use crate::{describe::describe, name};
use shm_api::{OsError, SegmentInfo};
use shm_lifetime::{BackendId, Lifetime};

pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let entries = Lifetime::current()?.entries(BackendId::Posix);
    let mut found: Vec<_> = entries
        .iter()
        .filter_map(|entry| describe(&name::to_key(entry.name.as_c_str().to_str().ok()?)?).ok()?)
        .collect();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}
