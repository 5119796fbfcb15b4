//! Who holds a segment, where the kernel does not tell.
//!
//! Each attachment opens the name's lock file anew and shares a lock on one byte of it, far from those of the names.
//! The kernel drops it with the process, however that ends; a child of a fork holds it on, as it does the memory.
//! Whoever would destroy the segment asks whether anybody has that byte. Two segments that share a byte keep each
//! other a while longer, and no more.
//!
//! Processes of the owner know from the ledger which segment it is that they hold, and share a byte for that one.
//! Other users know its name only, and share a byte for whatever has it.

use crate::{
    LockFile,
    ofd_lock::{self, Kind},
};
use nix::errno::Errno;
use shm_api::OsError;
use std::os::fd::OwnedFd;

/// Where the bytes of the owner's processes begin: the names' end below.
const OWNER: i64 = 1 << 32;

/// Where the bytes of other users begin.
const OTHERS: i64 = 2 << 32;

/// The byte that the owner's processes share for a segment: FNV-1a, begun with the name's byte.
fn byte_of_segment(byte: u32, object: u64) -> i64 {
    let fnv = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    OWNER + i64::from(object.to_le_bytes().iter().fold(byte, fnv))
}

/// The byte that other users share for a name.
fn byte_of_name(byte: u32) -> i64 {
    OTHERS + i64::from(byte)
}

/// One attachment's mark; dropping it takes it away.
#[derive(Debug)]
pub struct Presence {
    /// `None` where the lock file is not ours to open: the owner then does not see us.
    file: Option<OwnedFd>,
    byte: i64,
}

impl Presence {
    fn in_file(file: Option<OwnedFd>, byte: i64) -> Result<Self, OsError> {
        if let Some(file) = &file {
            ofd_lock::set(file, byte, 1, Kind::Read).map_err(|errno: Errno| {
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
            let _ = ofd_lock::set(file, self.byte, 1, Kind::Unlock);
        }
    }

    /// Whether another attachment with that mark is there, in this process or any other. What cannot be asked is a yes.
    pub fn has_company(&self) -> bool {
        self.file.as_ref().is_none_or(|file| ofd_lock::is_locked(file, self.byte).unwrap_or(true))
    }
}

impl crate::Lifetime {
    /// Marks an attachment of a segment, under its name's lock. `object` is what the ledger knows it by, or is about to.
    ///
    /// # Errors
    ///
    /// Where no more files can be opened.
    pub fn mark_presence(&self, file: LockFile, byte: u32, object: u64) -> Result<Presence, OsError> {
        let byte = match file {
            LockFile::Own | LockFile::Shared => byte_of_segment(byte, object),
            LockFile::OfUser { .. } => byte_of_name(byte),
        };
        Presence::in_file(self.reopen_lock_file(file)?, byte)
    }

    /// Whether anybody holds a segment of this user's, by the marks. Safe in a signal handler.
    pub fn is_anyone_present(&self, shared: bool, byte: u32, object: u64) -> bool {
        let is_marked = |byte| ofd_lock::is_locked(self.own_lock_file(shared), byte).unwrap_or(true);
        is_marked(byte_of_segment(byte, object)) || is_marked(byte_of_name(byte))
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
        let mark = |object| Presence::in_file(Some(open().into()), byte_of_segment(7, object)).unwrap();
        let asking = open();
        let is_locked = |byte| ofd_lock::is_locked(&asking, byte).unwrap();
        let anyone = |object| is_locked(byte_of_segment(7, object));

        let (one, other) = (mark(1), mark(1));
        assert!(anyone(1) && one.has_company() && other.has_company());
        assert!(!anyone(2), "that is another segment's, of the same name");
        assert!(!is_locked(7) && !is_locked(byte_of_name(7)), "it is not the lock of the name");
        other.end();
        assert!(anyone(1) && !one.has_company());
        let copy = one.file.as_ref().unwrap().try_clone().unwrap();
        drop(one);
        assert!(anyone(1), "a fork's child has it on");
        drop(copy);
        assert!(!anyone(1));
        fs::remove_file(path).unwrap();
    }
}
