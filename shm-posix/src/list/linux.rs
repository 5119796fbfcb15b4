//! The files in `/dev/shm`.

use crate::{describe::describe, name, object::FOLDER};
use shm_api::{OsError, SegmentInfo};
use shm_lifetime::within_a_second;
use std::{fs, io::ErrorKind};

pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let failed = |error: std::io::Error| OsError::new("readdir", error.raw_os_error().unwrap_or(libc::EIO));
    let entries = match fs::read_dir(FOLDER) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    // Files that vanish meanwhile, are not regular or have no name in UTF-8 are left out.
    let described =
        entries.filter_map(|entry| describe(&name::to_key(entry.ok()?.file_name().to_str()?)?).ok()?);
    let mut found: Vec<_> = within_a_second(|| described.collect());
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}
