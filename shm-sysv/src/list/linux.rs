//! The kernel's table.

use crate::{backend::describe, sys};
use nix::errno::Errno;
use shm_api::{OsError, SegmentInfo};
use std::num::NonZeroU32;

/// proc(5), /proc/sysvipc/shm: a line of headings, then a line per segment: key, shmid, ….
pub(crate) fn list() -> Result<Vec<SegmentInfo>, OsError> {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").map_err(|error| {
        OsError::new("open", error.raw_os_error().unwrap_or(libc::EIO))
            .advise("System V segments are listed from /proc/sysvipc/shm, which could not be read.")
    })?;
    let mut found: Vec<_> = table.lines().skip(1).filter_map(line).collect();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(found)
}

fn line(line: &str) -> Option<SegmentInfo> {
    let mut columns = line.split_whitespace();
    // Key 0 is IPC_PRIVATE, or a segment that is destroyed and still held: nobody can attach it by a key.
    let key = NonZeroU32::new(columns.next()?.parse::<i32>().ok()? as u32)?;
    let id = sys::Id(columns.next()?.parse().ok()?);
    match sys::stat(id) {
        Ok(stat) => Some(describe(key, id, &stat)),
        Err(Errno::EINVAL | Errno::EIDRM) => None, // it went meanwhile
        Err(_) => None,
    }
}
