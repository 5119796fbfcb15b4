//! Open file description locks on one byte of a file.
//!
//! The kernel drops them with the last descriptor of their description, and so with the process that dies. Two
//! descriptors of one description do not exclude each other.

use std::os::fd::BorrowedFd;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// What to set on a byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Shared with other readers.
    Read,
    /// Excludes everybody.
    Write,
    /// None.
    Unlock,
}

/// Sets or drops a lock, without waiting: `EAGAIN` or `EACCES` where another description's is in the way.
pub(crate) fn set(file: BorrowedFd<'_>, byte: i64, kind: Kind) -> nix::Result<()> {
    system::set(file, &span(byte, kind))
}

/// Whether another description has any lock on the byte.
pub(crate) fn is_locked(file: BorrowedFd<'_>, byte: i64) -> nix::Result<bool> {
    let mut asked = span(byte, Kind::Write);
    system::get(file, &mut asked)?;
    Ok(asked.l_type != Kind::Unlock.number())
}

impl Kind {
    const fn number(self) -> libc::c_short {
        (match self {
            Self::Read => libc::F_RDLCK,
            Self::Write => libc::F_WRLCK,
            Self::Unlock => libc::F_UNLCK,
        }) as libc::c_short
    }
}

const fn span(byte: i64, kind: Kind) -> libc::flock {
    libc::flock {
        l_type: kind.number(),
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0, // fcntl(2): "When placing open file description locks, l_pid must be 0."
    }
}
