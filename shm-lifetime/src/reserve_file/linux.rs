//! fallocate(2).

use libc::off_t;
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::{stat::fstat, uio::pwrite},
};
use std::os::fd::BorrowedFd;

/// The most that one call reserves.
const MOST: off_t = 64 << 20;

/// The least: it takes a microsecond.
const LEAST: off_t = 4096;

pub(super) fn reserve(file: BorrowedFd<'_>, start: u64, len: u64) -> Result<(), (&'static str, Errno)> {
    let end = off_t::try_from(start.saturating_add(len)).map_err(|_| ("fallocate", Errno::EFBIG))?;
    let (mut next, mut chunk) = (start as off_t, MOST); // less than the end
    while next < end {
        let len = chunk.min(end - next);
        // The file gets its size with the last chunk. So for others it is as short as before, or whole.
        let is_last = next + len == end;
        let flags = if is_last { FallocateFlags::empty() } else { FallocateFlags::FALLOC_FL_KEEP_SIZE };
        match fallocate(file, flags, next, len) {
            Ok(()) => {
                next += len;
                chunk = MOST.min(chunk * 2);
            }
            // A signal undoes what the call did (on the tmpfs of Linux 6.1, for example), and a profiler sends a thousand
            // in a second.
            Err(Errno::EINTR) => chunk = LEAST.max(chunk / 2),
            // A file system without fallocate is on a disk; a hole there is filled or fails like a write.
            Err(Errno::EOPNOTSUPP) => return lengthen(file, end),
            Err(errno) => return Err(("fallocate", errno)),
        }
    }
    Ok(())
}

/// Makes the file as long as that, or leaves it as it is. Not by ftruncate: another process may have made it longer
/// meanwhile, and it would cut that off.
fn lengthen(file: BorrowedFd<'_>, end: off_t) -> Result<(), (&'static str, Errno)> {
    if fstat(file).map_err(|errno| ("fstat", errno))?.st_size >= end {
        return Ok(());
    }
    // The last byte of a level of the ledger is one of a slot's unused words.
    pwrite(file, &[0], end - 1).map_err(|errno| ("pwrite", errno)).map(drop)
}
