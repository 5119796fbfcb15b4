//! The kernel's table.

use crate::{describe::describe, sys};
use shm_api::{OsError, SegmentInfo};
use std::num::NonZeroU32;

pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let all = sys::all().map_err(|errno| OsError::new("shmctl", errno as i32))?;
    let mut found: Vec<_> = all
        // Key 0 is IPC_PRIVATE, or a segment that is destroyed and still held: nobody can attach it by a key.
        .filter_map(|(id, stat)| Some(describe(NonZeroU32::new(stat.key())?, id, &stat)))
        .collect();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}
