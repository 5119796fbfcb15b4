//! Where the folder lies on macOS: as `shm-lifetime` has it.

use nix::{fcntl::OFlag, sys::stat::FileStat};

/// `/tmp` is cleaned of what was not touched for three days, `/var/tmp` is not.
pub(super) const PLACES: [&str; 2] = ["/var/tmp", "/tmp"];

/// Opens a folder that lets us through without letting us look.
pub(super) const PASSAGE: OFlag = OFlag::O_SEARCH;

pub(super) const fn device(stat: &FileStat) -> u64 {
    stat.st_dev.cast_unsigned() as u64
}
