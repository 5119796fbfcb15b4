//! Where the folder lies on macOS.

use nix::fcntl::OFlag;

/// hier(7): `/var/tmp` holds "temporary files that are kept between system reboots"; `/tmp` is cleaned of what was
/// not touched for three days, and a lock file that goes under its holders excludes nobody. The folder that
/// `TMPDIR` names is closed to other users.
pub(super) const PLACES: [&str; 2] = ["/var/tmp", "/tmp"];

/// open(2), O_SEARCH: "open directory for searching", which asks for no more than that permission.
pub(super) const PASSAGE: OFlag = OFlag::O_SEARCH;
