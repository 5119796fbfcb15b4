//! The live file as this process has it open.
//!
//! Programs close descriptors that are not theirs (close_range(2), a daemon's clean-up), and their next file then gets
//! our number. So a number is used, and closed, only while it stands for our description of the file. (Another copy of
//! this library in the process has descriptions of its own. Through one of these, its locks would look free.) Our locks
//! do not depend on the number: the kernel keeps them as long as something else refers to the description, see
//! `system::keep`.

use super::{counter::random, system};
use crate::SyncError;
use nix::errno::Errno;
use shm_api::OsError;
use shm_lifetime::{Home, Identity, wide};
use std::{
    ffi::CString,
    os::{
        fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    sync::atomic::{AtomicI32, Ordering},
};

const NONE: RawFd = -1;

/// From where the file can be opened again. (A path may lead elsewhere after chroot(2) or a change of mounts.)
#[derive(Debug)]
pub(super) struct Origin {
    folder: OwnedFd,
    name: CString,
    path: CString,
}

impl Origin {
    pub(super) fn of(home: &Home, name: &str) -> Result<Self, SyncError> {
        let path = home.path().join(name);
        let text = |bytes: &[u8]| CString::new(bytes).expect("the library's own names have no NUL");
        Ok(Self {
            folder: home.folder()?,
            name: text(name.as_bytes()),
            path: text(path.as_os_str().as_bytes()),
        })
    }
}

#[derive(Debug)]
pub(super) struct LiveFile {
    fd: AtomicI32,
    pub(super) identity: Identity,
    /// Where reads and writes would go on in our descriptions, which tells them from others. Nothing is read or written
    /// there. `None` if the caller opened the file, and may read it.
    offset: Option<i64>,
    origin: Option<Origin>,
    kept: system::Kept,
}

impl LiveFile {
    pub(super) fn new(file: OwnedFd, identity: Identity, origin: Option<Origin>) -> Result<Self, SyncError> {
        // Less than 2^31, as in any file.
        let random = || Ok::<_, SyncError>((random()? & i32::MAX as u32).max(1).into());
        let offset = origin.is_some().then(random).transpose()?;
        let kept = system::keep(file.as_raw_fd()).map_err(|errno| failed("mmap", errno))?;
        let file = Self { fd: AtomicI32::new(file.into_raw_fd()), identity, offset, origin, kept };
        file.mark(file.fd.load(Ordering::Relaxed));
        Ok(file)
    }

    /// Returns a description of the file. Opens the file again if the program has closed its number.
    pub(super) fn get(&self) -> Result<BorrowedFd<'_>, SyncError> {
        let known = self.fd.load(Ordering::Acquire);
        let fd = if self.is_at(known) { known } else { self.renew(known)? };
        // SAFETY: it is never closed here. If other code closes it, our calls fail, or `is_at` sees it.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Whether a number stands for our description of the file now.
    pub(super) fn is_at(&self, fd: RawFd) -> bool {
        self.is_of_file(fd) && self.offset.is_none_or(|offset| seek(fd, 0, libc::SEEK_CUR) == offset)
    }

    fn is_of_file(&self, fd: RawFd) -> bool {
        fd != NONE && Identity::of_number(fd) == Ok(self.identity)
    }

    /// From now on, the number stands for a description of ours.
    fn mark(&self, fd: RawFd) {
        if let Some(offset) = self.offset {
            seek(fd, offset, libc::SEEK_SET);
        }
    }

    fn renew(&self, known: RawFd) -> Result<RawFd, SyncError> {
        let fresh = self.open_by_name().and_then(kept).map_err(|errno| failed("open", errno))?;
        match self.fd.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(fresh),
            Err(found) => {
                close(fresh);
                Ok(found)
            }
        }
    }

    /// Allocates nothing: it runs in a fork's child.
    fn open_by_name(&self) -> Result<RawFd, Errno> {
        let origin = self.origin.as_ref().ok_or(Errno::EBADF)?;
        let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let open = |folder, name: &CString| {
            // SAFETY: the name is a string.
            let fd = Errno::result(unsafe { libc::openat(folder, name.as_ptr(), flags) })?;
            self.checked(fd)
        };
        open(origin.folder.as_raw_fd(), &origin.name).or_else(|_| open(libc::AT_FDCWD, &origin.path))
    }

    /// `ESTALE` for another file.
    fn checked(&self, fd: RawFd) -> Result<RawFd, Errno> {
        if self.is_of_file(fd) {
            self.mark(fd);
            return Ok(fd);
        }
        close(fd);
        Err(Errno::ESTALE)
    }

    /// In the child of a fork: gets a description of its own, or none for now. The child must not keep the parent's
    /// description, because then nobody would notice the parent's death.
    pub(super) fn renew_in_child(&self) {
        let old = self.fd.swap(NONE, Ordering::AcqRel);
        let shares = self.is_at(old);
        let again = if shares { system::open_again(old) } else { Err(Errno::EBADF) };
        if shares {
            close(old);
        }
        // Now there is room, if the descriptor table was full before.
        let fresh = again.and_then(|fd| self.checked(fd)).or_else(|_| self.open_by_name());
        if let Ok(fresh) = fresh.and_then(kept) {
            self.fd.store(fresh, Ordering::Release);
        }
    }
}

impl Drop for LiveFile {
    /// Only for the thread that came second with the same file; others are never dropped.
    fn drop(&mut self) {
        let fd = *self.fd.get_mut();
        if self.is_at(fd) {
            close(fd);
        }
        self.kept.end();
    }
}

/// Makes its locks last as long as the process.
fn kept(fd: RawFd) -> Result<RawFd, Errno> {
    match system::keep(fd) {
        Ok(_) => Ok(fd),
        Err(errno) => {
            close(fd);
            Err(errno)
        }
    }
}

fn close(fd: RawFd) {
    // SAFETY: the caller opened it, and has just seen that it stands for its description still, or just opened it.
    unsafe { libc::close(fd) };
}

/// The new offset; -1 where there is none.
fn seek(fd: RawFd, offset: i64, from: libc::c_int) -> i64 {
    // SAFETY: lseek takes integers.
    wide(unsafe { libc::lseek(fd, offset as libc::off_t, from) })
}

fn failed(call: &'static str, errno: Errno) -> SyncError {
    OsError::new(call, errno as i32)
        .advise("The call was for the live file, which this process cannot use as long as it fails.")
        .into()
}
