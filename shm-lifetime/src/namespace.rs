//! Which kernel namespaces we live in: an id of another one means nothing here.

use nix::sys::stat::stat;

/// The inodes of our namespaces; 0 where `/proc` does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// Where System V keys and ids live.
    pub ipc: u64,
    /// Where process ids live.
    pub pid: u64,
}

impl Namespaces {
    pub(crate) fn ours() -> Self {
        let inode = |path| stat(path).map_or(0, |stat| stat.st_ino);
        Self { ipc: inode("/proc/self/ns/ipc"), pid: inode("/proc/self/ns/pid") }
    }
}
