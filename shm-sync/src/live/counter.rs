//! The header of the live file: what it is, and the next id.

use crate::layout::live_file::{GUARD, ID, MAGIC, NEXT, SIZE};
use crate::{Owner, SyncError};
use nix::errno::Errno;
use shm_api::OsError;
use shm_lifetime::ofd_lock::{self, Kind};
use std::{
    os::{fd::AsFd, unix::fs::FileExt},
    time::{Duration, Instant},
};

const WAIT: Duration = Duration::from_secs(1);

/// The header, read and written under a lock. It is not mapped: a file that someone cuts short is an error,
/// not a SIGBUS.
pub(super) struct Counter<F>(pub(super) F);

impl<F: AsFd> Counter<F> {
    /// The id of the file.
    pub(super) fn file_id(&self) -> Result<u32, SyncError> {
        self.with_header(|header| Ok(header.id))
    }

    /// Takes `count` owner ids, and returns the first.
    pub(super) fn advance(&self, count: u32) -> Result<u32, SyncError> {
        self.with_header(|header| {
            let first = header.next;
            let after = first.checked_add(count).filter(|&after| after - 1 <= Owner::MAX);
            header.next = after.ok_or(SyncError::NoIds)?;
            Ok(first)
        })
    }

    fn with_header<T>(
        &self,
        change: impl FnOnce(&mut Header) -> Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        // Another description: locks do not exclude two threads that share one.
        let file = super::forks::description_of_its_own(self.0.as_fd())?;
        let file = std::fs::File::from(file);
        lock(&file)?;
        let mut bytes = [0; SIZE];
        let length = file.metadata().map_err(|error| failed("fstat", &error))?.len();
        let mut header = if length == 0 {
            Header { id: random()?, next: 1 }
        } else {
            file.read_exact_at(&mut bytes, 0).map_err(|error| failed("pread", &error))?;
            Header::from_bytes(&bytes)?
        };
        let result = change(&mut header)?;
        let changed = header.to_bytes();
        if changed != bytes {
            file.write_all_at(&changed, 0).map_err(|error| failed("pwrite", &error))?;
        }
        Ok(result) // closing the description drops its lock
    }
}

struct Header {
    id: u32,
    next: u32,
}

impl Header {
    fn from_bytes(bytes: &[u8; SIZE]) -> Result<Self, SyncError> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..ID] != MAGIC {
            return Err(SyncError::LiveFile("it is something else, or of another version"));
        }
        match (word(ID), word(NEXT)) {
            (0, _) | (_, 0) => Err(SyncError::LiveFile("its header is damaged")),
            (id, next) => Ok(Self { id, next }),
        }
    }

    fn to_bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..ID].copy_from_slice(&MAGIC);
        bytes[ID..NEXT].copy_from_slice(&self.id.to_le_bytes());
        bytes[NEXT..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }
}

fn random() -> Result<u32, SyncError> {
    let random = getrandom::u32().map_err(|error| {
        OsError::new("getrandom", error.raw_os_error().unwrap_or(libc::ENOSYS))
            .advise("The live file needs a random id.")
    })?;
    Ok(random.max(1))
}

fn lock(file: &std::fs::File) -> Result<(), SyncError> {
    let start = Instant::now();
    loop {
        match ofd_lock::set(file, GUARD, 1, Kind::Write) {
            Ok(()) => return Ok(()),
            Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) if start.elapsed() < WAIT => {
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(errno) => {
                return Err(OsError::new("fcntl(F_OFD_SETLK)", errno as i32)
                    .advise("Some process holds the header of the live file, perhaps a stopped one.")
                    .into());
            }
        }
    }
}

fn failed(call: &'static str, error: &std::io::Error) -> SyncError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return SyncError::LiveFile("it was cut short");
    }
    OsError::new(call, error.raw_os_error().unwrap_or(libc::EIO)).advise("It was about the live file.").into()
}
