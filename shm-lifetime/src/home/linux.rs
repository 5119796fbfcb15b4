//! Where the folder lies on Linux.

use nix::fcntl::OFlag;

/// Beside the POSIX objects, or where that cannot be written, in `/tmp`.
pub(super) const PLACES: [&str; 2] = ["/dev/shm", "/tmp"];

/// open(2), O_PATH: "indicate a location in the filesystem tree", which asks for no permission on the folder.
pub(super) const PASSAGE: OFlag = OFlag::O_PATH;
