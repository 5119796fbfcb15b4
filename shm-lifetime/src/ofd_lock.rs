//! Open file description locks on bytes of a file.
//!
//! The kernel drops them with the last descriptor of their description, and so with the process that dies. Two
//! descriptors of one description do not exclude each other.

use std::os::fd::AsFd;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// What to set.
#[derive(Clone, Copy, Debug)]
pub enum LockKind {
    /// Shared with other readers.
    Read,
    /// Excludes everybody.
    Write,
    /// None.
    Unlock,
}

/// Sets or drops a lock on `count` bytes from `first` on, without waiting. Safe in a signal handler.
///
/// # Errors
///
/// `EAGAIN` or `EACCES` if another description's lock is in the way; else as fcntl(2) says.
pub fn set(file: impl AsFd, first: i64, count: u32, kind: LockKind) -> nix::Result<()> {
    system::set(file.as_fd(), &span(first, count, kind))
}

/// Whether another description has any lock on the byte. Safe in a signal handler.
///
/// # Errors
///
/// As fcntl(2) says.
pub fn is_locked(file: impl AsFd, byte: i64) -> nix::Result<bool> {
    let mut asked = span(byte, 1, LockKind::Write);
    system::get(file.as_fd(), &mut asked)?;
    Ok(asked.l_type != LockKind::Unlock.number())
}

impl LockKind {
    const fn number(self) -> libc::c_short {
        (match self {
            Self::Read => libc::F_RDLCK,
            Self::Write => libc::F_WRLCK,
            Self::Unlock => libc::F_UNLCK,
        }) as libc::c_short
    }
}

fn span(first: i64, count: u32, kind: LockKind) -> system::Lock {
    system::Lock {
        l_type: kind.number(),
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first,
        l_len: count.into(),
        l_pid: 0, // fcntl(2): "When placing open file description locks, l_pid must be 0."
    }
}
