//! Open file description locks on bytes of the live file.

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
pub(super) enum Kind {
    /// Excludes everybody.
    Write,
    /// None.
    Unlock,
}

impl Kind {
    const fn number(self) -> libc::c_short {
        (match self {
            Self::Write => libc::F_WRLCK,
            Self::Unlock => libc::F_UNLCK,
        }) as libc::c_short
    }
}

/// Sets or drops locks, without waiting: `EAGAIN` or `EACCES` where another description's is in the way.
pub(super) fn set(file: impl AsFd, kind: Kind, first: i64, count: u32) -> nix::Result<()> {
    system::set(file.as_fd(), &span(kind, first, count))
}

/// Whether another description has a lock on the byte.
pub(super) fn is_locked(file: impl AsFd, byte: i64) -> nix::Result<bool> {
    let mut asked = span(Kind::Write, byte, 1);
    system::get(file.as_fd(), &mut asked)?;
    Ok(asked.l_type != Kind::Unlock.number())
}

fn span(kind: Kind, first: i64, count: u32) -> libc::flock {
    libc::flock {
        l_type: kind.number(),
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first,
        l_len: count.into(),
        l_pid: 0,
    }
}
