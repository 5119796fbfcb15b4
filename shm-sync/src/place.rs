//! The place of a structure. It is checked once, when the structure is opened, so that the algorithm need not check
//! again.

use crate::protocol::{
    layout::{LIVE, Structure},
    memory::{Memory, Ordering},
    stamp::Choice,
};
use crate::{Live, Region, SyncError};

/// The `size` bytes of a structure at `offset`, made if they are all zeros.
pub(crate) fn open<'a>(
    structure: Structure,
    region: Region<'a>,
    offset: usize,
    size: usize,
    live: &Live,
    choices: &[Choice],
) -> Result<Region<'a>, SyncError> {
    region.writable()?;
    let place = region.at(offset, size)?;
    place.aligned(structure.name, structure.align)?;
    place.sound_result(structure.stamp(place, live, choices))?;
    Ok(place)
}

/// Checks the number of slots that a user asks for.
pub(crate) fn check_count(
    option: &'static str,
    count: u32,
    most: u32,
    must: &'static str,
) -> Result<(), SyncError> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(SyncError::OutOfRange { option, value: count.into(), must })
}

/// Returns how many slots the structure at `offset` was made with: the word at `count`.
pub(crate) fn count(
    structure: Structure,
    region: Region<'_>,
    offset: usize,
    count: u32,
    most: u32,
    live: &Live,
) -> Result<u32, SyncError> {
    region.writable()?;
    let header = region.at(offset, count as usize + size_of::<u32>())?;
    header.aligned(structure.name, structure.align)?;
    header.sound_result(structure.check(header, live))?;
    let found = header.word(count).load(Ordering::Relaxed);
    if (1..=most).contains(&found) {
        return header.sound(found);
    }
    Err(structure.damaged("its number of slots is impossible").into())
}

/// Returns the id of the live file with which the structure at `offset` of a region is used, for any structure; 0 if
/// there is none yet.
///
/// # Errors
///
/// If it does not fit, or is not aligned.
#[doc(hidden)]
pub fn live_file_at(region: Region<'_>, offset: usize) -> Result<u32, SyncError> {
    let header = region.at(offset, LIVE as usize + size_of::<u32>())?;
    header.aligned("structure", align_of::<u32>())?;
    header.sound(header.word(LIVE).load(Ordering::Relaxed))
}
