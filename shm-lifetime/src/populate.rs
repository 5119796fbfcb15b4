//! Mapping all pages at once, so that the first touch of a page is fast.
//!
//! By madvise(2), and not by MAP_POPULATE, which does not report when it gives up.

use shm_api::{Access, OsError};
use std::{num::NonZeroUsize, ptr::NonNull};

/// Maps all pages of a mapping now. The pages of a read-only mapping stay shared.
///
/// # Errors
///
/// `EFAULT` if there is no room for a page, or it was cut off; `ENOMEM`; `ENOTSUP` if the kernel has no such
/// call.
///
/// # Safety
///
/// `start` is a mapping of ours of `size` bytes, which stays mapped meanwhile.
pub unsafe fn populate(start: NonNull<u8>, size: NonZeroUsize, access: Access) -> Result<(), OsError> {
    // SAFETY: by the caller's promise.
    unsafe { system(start, size, access) }.map_err(|errno| {
        let (errno, advice) = match errno {
            // madvise(2): the advice is not known, before Linux 5.14.
            libc::EINVAL => {
                (libc::EOPNOTSUPP, "Only Linux 5.14 and later map all pages at once: leave `populate` out.")
            }
            libc::EFAULT => {
                (errno, "There is no room for one of its pages, or another process has made it smaller.")
            }
            libc::ENOMEM => (errno, "The system has not that much memory left."),
            _ => (errno, ""),
        };
        OsError::new("madvise", errno).advise(advice)
    })
}

#[cfg(target_os = "linux")]
unsafe fn system(start: NonNull<u8>, size: NonZeroUsize, access: Access) -> Result<(), i32> {
    let advice = match access {
        Access::ReadWrite => libc::MADV_POPULATE_WRITE,
        // The other would make private copies.
        Access::ReadOnly => libc::MADV_POPULATE_READ,
    };
    // SAFETY: neither changes what the mapping holds; it is mapped, by the caller's promise.
    let done = unsafe { libc::madvise(start.as_ptr().cast(), size.get(), advice) };
    nix::errno::Errno::result(done).map(drop).map_err(|errno| errno as i32)
}

#[cfg(not(target_os = "linux"))]
unsafe fn system(_: NonNull<u8>, _: NonZeroUsize, _: Access) -> Result<(), i32> {
    Err(libc::EINVAL)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_advice_that_the_kernel_does_not_know_is_not_supported() {
        let place: NonNull<u8> = NonNull::from(&mut [0_u8; 2]).cast();
        let refused = [0, 1].map(|at| {
            let place = place.map_addr(|address| address.saturating_add(at));
            // SAFETY: the first reads at most what it maps. One of both is not aligned to a page, which the kernel
            // refuses as it does an advice that it lacks.
            unsafe { populate(place, NonZeroUsize::MIN, Access::ReadOnly) }
        });
        let errno = |result: &Result<(), OsError>| result.as_ref().map_err(OsError::errno).copied();
        assert!(refused.iter().any(|result| errno(result) == Err(libc::EOPNOTSUPP)), "{refused:?}");
    }
}
