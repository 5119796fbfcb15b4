//! F_PREALLOCATE, which reserves blocks beyond the file's end and leaves the end where it is.

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    sys::{stat::fstat, uio::pwrite},
};
use std::os::fd::BorrowedFd;

pub(super) fn reserve(file: BorrowedFd<'_>, start: u64, len: u64) -> Result<(), (&'static str, Errno)> {
    let end = (start + len) as i64;
    let size = fstat(file).map_err(|errno| ("fstat", errno))?.st_size;
    if size >= end {
        return Ok(());
    }
    let mut room = libc::fstore_t {
        fst_flags: libc::F_ALLOCATEALL,
        fst_posmode: libc::F_PEOFPOSMODE,
        fst_offset: 0,
        fst_length: end - size,
        fst_bytesalloc: 0,
    };
    match fcntl(file, FcntlArg::F_PREALLOCATE(&mut room)) {
        // A file system without it: a hole there is filled or fails like a write.
        Ok(_) | Err(Errno::ENOTSUP | Errno::EINVAL) => {}
        Err(errno) => return Err(("fcntl(F_PREALLOCATE)", errno)),
    }
    // Not ftruncate: another process may have grown the file further meanwhile, and it would cut that off. The last
    // byte of a level is one of a slot's unused words.
    pwrite(file, &[0], end - 1).map_err(|errno| ("pwrite", errno)).map(drop)
}
