//! Finding out who holds a segment, where the kernel does not tell.
//!
//! Each attachment opens the lock file of the name once more, and shares a lock on one byte of it, far from the bytes
//! of names. The kernel drops the lock when the process ends, however it ends. The child of a fork keeps the lock, as
//! it keeps the memory. A process that wants to destroy the segment first asks whether that byte is locked. If two
//! segments have the same byte, one may keep the other longer than necessary, and there is no other harm.
//!
//! Processes of the owner know from the ledger which segment they hold, and share a byte for that segment. Other users
//! know only the name, and share a byte for the name.

use crate::{
    Check, Entry, LockFile,
    descriptor::Numbered,
    ofd_lock::{self, LockKind},
    skips,
};
use nix::errno::Errno;
use shm_api::OsError;
use std::{
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Where the bytes of the owner's processes begin. The bytes of names end below.
const OWNER: i64 = 1 << 32;

/// Where the bytes of users begin who know only the name.
const OTHERS: i64 = 2 << 32;

/// The byte that the owner's processes share for a segment: FNV-1a, begun with the name's byte.
fn byte_of_segment(byte: u32, created: u64) -> i64 {
    let fnv = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    OWNER + i64::from(created.to_le_bytes().iter().fold(byte, fnv))
}

/// The byte that the other users share for a name.
fn byte_of_name(byte: u32) -> i64 {
    OTHERS + i64::from(byte)
}

/// The byte of an attachment's mark. `created` is when the segment was created, if that is known.
fn byte_of(created: Option<u64>, byte: u32) -> i64 {
    created.map_or(byte_of_name(byte), |created| byte_of_segment(byte, created))
}

/// The mark of one attachment. Dropping it removes the mark.
#[derive(Debug)]
pub struct Presence {
    /// `None` if we may not open the lock file. Then the owner does not see us.
    file: Option<Numbered>,
    /// Whether the mark was removed.
    has_ended: AtomicBool,
    /// The byte of our mark, and the byte of users who know only the name.
    bytes: [i64; 2],
}

impl Presence {
    fn in_file(file: Option<OwnedFd>, bytes: [i64; 2]) -> Result<Self, OsError> {
        if let Some(file) = &file {
            ofd_lock::set(file, bytes[0], 1, LockKind::Read).map_err(|errno: Errno| {
                OsError::new("fcntl(F_OFD_SETLK)", errno as i32)
                    .advise("The call was for the mark that this process holds the segment.")
            })?;
        }
        let file = file.map(Numbered::new).transpose()?;
        Ok(Self { file, has_ended: AtomicBool::new(false), bytes })
    }

    /// Removes the mark now. Safe in a signal handler.
    ///
    /// By closing our descriptor: fcntl(2), open file description locks "are only automatically released on the last
    /// close", so a child of a fork, which has the memory as we had, keeps its mark.
    pub fn end(&self) {
        if let Some(file) = &self.file
            && !self.has_ended.swap(true, Relaxed)
        {
            file.close();
        }
    }

    /// Whether there is another attachment with such a mark, in this process or any other. If that cannot be found out,
    /// the answer is yes. Do not call it while another thread ends the mark.
    pub fn has_company(&self) -> bool {
        match &self.file {
            Some(file) if !self.has_ended.load(Relaxed) && file.is_open() => {
                self.bytes.iter().any(|byte| ofd_lock::is_locked(file, *byte).unwrap_or(true))
            }
            _ => true,
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
    }
}

impl crate::Lifetime {
    /// Marks an attachment of a segment, under its name's lock. `created` is the time of creation in the ledger; `None`
    /// if the segment is not in the ledger.
    ///
    /// # Errors
    ///
    /// If no more files can be opened.
    pub fn mark_presence(
        &self,
        file: LockFile,
        byte: u32,
        created: Option<u64>,
    ) -> Result<Presence, OsError> {
        let bytes = [byte_of(created.filter(|_| file.uid == self.uid()), byte), byte_of_name(byte)];
        Presence::in_file(self.reopen_lock_file(file)?, bytes)
    }

    /// Whether anybody holds a segment of this user, by the marks. Safe in a signal handler, because the name is
    /// locked, and so the file is open.
    pub fn is_anyone_present(&self, entry: &Entry) -> bool {
        let byte = entry.name.lock_byte();
        let Ok(file) = self.lock_file_of_class(entry.class()) else { return true };
        let is_marked = |byte| ofd_lock::is_locked(file, byte).unwrap_or(true);
        !skips(Check::Marks)
            && (is_marked(byte_of_segment(byte, entry.created)) || is_marked(byte_of_name(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        os::fd::AsFd,
    };

    #[test]
    fn a_mark_is_seen_by_others_until_it_ends() {
        let path = std::env::temp_dir().join(format!("shm-presence-{}", std::process::id()));
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let mark = |created| {
            let bytes = [byte_of(created, 7), byte_of_name(7)];
            Presence::in_file(Some(open().into()), bytes).unwrap()
        };
        let asking = open();
        let is_locked = |byte| ofd_lock::is_locked(&asking, byte).unwrap();
        let anyone = |created| is_locked(byte_of_segment(7, created));

        let (one, other) = (mark(Some(1)), mark(Some(1)));
        assert!(anyone(1) && one.has_company() && other.has_company());
        assert!(!anyone(2), "that is another segment's, of the same name");
        assert!(!is_locked(7) && !is_locked(byte_of_name(7)), "it is not the lock of the name");
        other.end();
        assert!(anyone(1) && !one.has_company());
        let of_the_name = mark(None);
        assert!(is_locked(byte_of_name(7)) && one.has_company() && of_the_name.file.is_some());
        drop(of_the_name);
        let copy = one.file.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
        one.end();
        assert!(anyone(1), "a fork's child has it on");
        drop((one, copy));
        assert!(!anyone(1));
        fs::remove_file(path).unwrap();
    }
}
