//! Who holds a segment, where the kernel does not tell.
//!
//! Each attachment opens the name's lock file anew and shares a lock on one byte of it, far from those of the names.
//! The kernel drops it with the process, however that ends; a child of a fork holds it on, as it does the memory.
//! Whoever would destroy the segment asks whether anybody has that byte. Two names that share a byte keep each
//! other's segments a while longer, and no more.

use crate::{
    LockFile,
    ofd_lock::{self, Kind},
};
use nix::errno::Errno;
use shm_api::OsError;
use std::os::fd::{AsFd, OwnedFd};

/// Where the bytes of holders begin: the names' end below.
const FIRST: i64 = 1 << 32;

/// The byte that holders of a name share.
pub(crate) const fn byte_of_holders(byte: u32) -> i64 {
    FIRST + byte as i64
}

/// One attachment's mark; dropping it takes it away.
#[derive(Debug)]
pub struct Presence {
    /// `None` where the lock file is not ours to open: the owner then does not see us.
    file: Option<OwnedFd>,
    byte: i64,
}

impl Presence {
    pub(crate) fn in_file(file: Option<OwnedFd>, byte: u32) -> Result<Self, OsError> {
        let byte = byte_of_holders(byte);
        if let Some(file) = &file {
            ofd_lock::set(file.as_fd(), byte, Kind::Read).map_err(|errno: Errno| {
                OsError::new("fcntl(F_OFD_SETLK)", errno as i32)
                    .advise("It was about the mark that this process holds the segment.")
            })?;
        }
        Ok(Self { file, byte })
    }

    /// Takes the mark away now. Safe in a signal handler.
    pub fn end(&self) {
        if let Some(file) = &self.file {
            // It cannot fail for a lock that we hold, and if it did, the drop would unlock it.
            let _ = ofd_lock::set(file.as_fd(), self.byte, Kind::Unlock);
        }
    }

    /// Whether another attachment of the name is there, in this process or any other. What cannot be asked is a yes.
    pub fn has_company(&self) -> bool {
        self.file.as_ref().is_none_or(|file| ofd_lock::is_locked(file.as_fd(), self.byte).unwrap_or(true))
    }
}

impl crate::Lifetime {
    /// Marks an attachment of a name, under the name's lock.
    ///
    /// # Errors
    ///
    /// Where no more files can be opened.
    pub fn mark_presence(&self, file: LockFile, byte: u32) -> Result<Presence, OsError> {
        Presence::in_file(self.reopen_lock_file(file)?, byte)
    }

    /// Whether anybody holds a segment of this user's, by its mark. Safe in a signal handler.
    pub fn is_anyone_present(&self, shared: bool, byte: u32) -> bool {
        ofd_lock::is_locked(self.own_lock_file(shared), byte_of_holders(byte)).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_mark_is_seen_by_others_until_it_ends() {
        let path = std::env::temp_dir().join(format!("shm-presence-{}", std::process::id()));
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let mark = |byte| Presence::in_file(Some(open().into()), byte).unwrap();
        let asking = open();
        let anyone = |byte| ofd_lock::is_locked(asking.as_fd(), byte_of_holders(byte)).unwrap();

        let (one, other) = (mark(7), mark(7));
        assert!(anyone(7) && one.has_company() && other.has_company());
        assert!(!anyone(6), "that is another name's");
        assert!(!ofd_lock::is_locked(asking.as_fd(), 7).unwrap(), "it is not the lock of the name");
        other.end();
        assert!(anyone(7) && !one.has_company());
        let copy = one.file.as_ref().unwrap().try_clone().unwrap();
        drop(one);
        assert!(anyone(7), "a fork's child has it on");
        drop(copy);
        assert!(!anyone(7));
        fs::remove_file(path).unwrap();
    }
}
