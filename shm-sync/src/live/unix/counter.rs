//! The header of the live file: what it is, and the next id.

use crate::layout::live_file::{GUARD, ID, IS_DIGEST, MAGIC, MARK, NEXT, SIZE};
use crate::{Owner, SyncError};
use nix::errno::Errno;
use shm_api::OsError;
use shm_lifetime::{
    Identity,
    ofd_lock::{self, LockKind},
};
use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

const WAIT: Duration = Duration::from_secs(1);

/// How far a header is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// The caller opened the file: if it is not a live file, that is an error.
    Given,
    /// Only this user writes to it. (An earlier version, which used no identity, may have written it.) Damage is
    /// repaired.
    Ours,
    /// Other users write to it: only the id that follows from the file's identity is accepted. Damage is repaired.
    Anybodys,
}

/// The header, read and written under a lock. It is not mapped: so a file that someone cuts short is an error, and not
/// a SIGBUS. Only one thread of a process uses it at a time, because they share the description.
pub(super) struct Counter<'a>(pub(super) BorrowedFd<'a>);

impl Counter<'_> {
    /// Returns the id of the file. A copy of a live file is another file, and gets another id.
    pub(super) fn file_id(&self, identity: Identity, belief: Belief) -> Result<FileId, SyncError> {
        self.with_header(|found| {
            let found = match found {
                Found::Damaged(why) if belief == Belief::Given => return Err(SyncError::LiveFile(why)),
                Found::Header(header) => Some(header),
                Found::Nothing | Found::Damaged(_) => None,
            };
            let header = match (found, identity.digest()) {
                // On this file system a copy cannot be recognised.
                (Some(header), None) => header,
                (Some(header), Some(digest)) if header.file == FileId::digest(digest) => header,
                (Some(header), Some(_)) if !header.file.is_digest && belief != Belief::Anybodys => header,
                (_, Some(digest)) => Header { file: FileId::digest(digest), next: first()? },
                (None, None) => {
                    Header { file: FileId { id: random()?.max(1), is_digest: false }, next: first()? }
                }
            };
            Ok((header, header.file))
        })
    }

    /// Takes `count` owner ids, and returns the first. Damage to the header is repaired.
    pub(super) fn advance(&self, count: u32, file: FileId) -> Result<u32, SyncError> {
        self.with_header(|found| {
            let next = match found {
                Found::Header(header) if header.file == file => header.next,
                _ => first()?,
            };
            let after = next.checked_add(count).filter(|&after| after - 1 <= Owner::MAX);
            Ok((Header { file, next: after.ok_or(SyncError::NoIds)? }, next))
        })
    }

    fn with_header<T>(
        &self,
        change: impl FnOnce(Found) -> Result<(Header, T), SyncError>,
    ) -> Result<T, SyncError> {
        let _guard = Guard::take(self.0)?;
        let mut bytes = [0; SIZE];
        let length = nix::sys::uio::pread(self.0, &mut bytes, 0).map_err(|errno| failed("pread", errno))?;
        let (header, result) = change(Found::in_bytes(&bytes[..length])?)?;
        let changed = header.to_bytes();
        if length < SIZE || changed != bytes {
            match nix::sys::uio::pwrite(self.0, &changed, 0) {
                Ok(SIZE) => {}
                Ok(_) => return Err(failed("pwrite", Errno::ENOSPC)),
                Err(errno) => return Err(failed("pwrite", errno)),
            }
        }
        Ok(result)
    }
}

/// The id of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) id: u32,
    is_digest: bool,
}

impl FileId {
    const fn digest(id: u32) -> Self {
        Self { id, is_digest: true }
    }
}

#[derive(Clone, Copy)]
struct Header {
    file: FileId,
    next: u32,
}

enum Found {
    Nothing,
    Header(Header),
    Damaged(&'static str),
}

impl Found {
    fn in_bytes(bytes: &[u8]) -> Result<Self, SyncError> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Ok(match (bytes, word(ID), word(NEXT)) {
            ([], ..) => Self::Nothing,
            ([b's', b'y', b'L', version, ..], ..) if *version != MAGIC[3] => {
                return Err(SyncError::LiveFile("it is of another version"));
            }
            (_, Some(id), Some(next)) if bytes[..ID] == MAGIC && id != 0 && next != 0 => {
                let file = FileId { id, is_digest: word(MARK) == Some(IS_DIGEST) };
                Self::Header(Header { file, next })
            }
            _ if bytes.starts_with(&MAGIC) => Self::Damaged("its header is damaged"),
            _ => Self::Damaged("it is something else"),
        })
    }
}

impl Header {
    fn to_bytes(self) -> [u8; SIZE] {
        let mark = if self.file.is_digest { IS_DIGEST } else { 0 };
        let mut bytes = [0; SIZE];
        bytes[..ID].copy_from_slice(&MAGIC);
        bytes[ID..NEXT].copy_from_slice(&self.file.id.to_le_bytes());
        bytes[NEXT..MARK].copy_from_slice(&self.next.to_le_bytes());
        bytes[MARK..].copy_from_slice(&mark.to_le_bytes());
        bytes
    }
}

pub(super) fn random() -> Result<u32, SyncError> {
    getrandom::u32().map_err(|error| {
        OsError::new("getrandom", error.raw_os_error().unwrap_or(libc::ENOSYS))
            .advise("The live file needs a random number.")
            .into()
    })
}

/// The first owner id: a random one in the lower half. So the ids of an earlier file, or of this file before it was
/// damaged, belong to nobody.
fn first() -> Result<u32, SyncError> {
    Ok((random()? % (Owner::MAX / 2)).max(1))
}

/// The lock on the header; dropping it unlocks.
struct Guard<'a>(BorrowedFd<'a>);

impl<'a> Guard<'a> {
    fn take(file: BorrowedFd<'a>) -> Result<Self, SyncError> {
        let start = Instant::now();
        loop {
            match ofd_lock::set(file, GUARD, 1, LockKind::Write) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) if start.elapsed() < WAIT => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(errno) => {
                    return Err(OsError::new("fcntl(F_OFD_SETLK)", errno as i32)
                        .advise("Another process, perhaps a stopped one, holds the header of the live file: try again.")
                        .into());
                }
            }
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that we hold.
        let _ = ofd_lock::set(self.0, GUARD, 1, LockKind::Unlock);
    }
}

fn failed(call: &'static str, errno: Errno) -> SyncError {
    OsError::new(call, errno as i32).advise("The call was for the live file.").into()
}
