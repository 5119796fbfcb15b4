//! The kernel namespaces of this process. An id of another namespace has no meaning here.

use crate::Entry;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// The numbers of our namespaces; 0 where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// Where System V keys and ids live.
    pub ipc: u64,
    /// Where process ids live.
    pub pid: u64,
}

impl Namespaces {
    pub(crate) fn ours() -> Self {
        system::ours()
    }

    /// Whether this process still lives in that IPC namespace, as far as it can know (unshare(2), setns(2)). Safe in a
    /// signal handler.
    pub fn is_ipc_still_ours(&self) -> bool {
        let now = Self::ours().ipc;
        now == 0 || now == self.ipc
    }

    /// Whether an entry is about a key or a name here, and not about one in another namespace or on another mount.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        system::has(self, entry)
    }

    /// Whether everything in that IPC namespace is gone, and not only invisible to this process.
    pub const fn has_ended(&self, ipc: u64) -> bool {
        system::has_ended(self, ipc)
    }
}
