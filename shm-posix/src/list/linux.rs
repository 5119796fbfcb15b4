//! The folder that they lie in.

use crate::{backend::describe, name, object::FOLDER};
use shm_api::{OsError, SegmentInfo};
use std::fs;

pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let failed = |error: std::io::Error| OsError::new("readdir", error.raw_os_error().unwrap_or(libc::EIO));
    let mut found: Vec<_> = fs::read_dir(FOLDER)
        .map_err(failed)?
        // What goes while we look, is no regular file or has no name in UTF-8, is left out.
        .filter_map(|entry| describe(&name::to_key(entry.ok()?.file_name().to_str()?)?).ok()?)
        .collect();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}
