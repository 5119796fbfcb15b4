//! Huge pages, where the system allows them.

use std::{num::NonZeroUsize, ptr::NonNull};

/// Asks for huge pages. With `now`, it takes them at once, before anything pins small ones. Where the system refuses
/// (`shmem_enabled`, the mount's `huge=`, an older kernel), the pages stay small.
///
/// # Safety
///
/// `start` is a mapping of ours of `size` bytes.
pub unsafe fn ask_for_huge_pages(start: NonNull<u8>, size: NonZeroUsize, now: bool) {
    // It works on System V segments even where `shmem_enabled` is `never`. The libc crate lacks it for musl.
    #[cfg(target_os = "linux")]
    const MADV_COLLAPSE: libc::c_int = 25;
    #[cfg(target_os = "linux")]
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_POPULATE_WRITE, MADV_COLLAPSE] {
        if advice != libc::MADV_HUGEPAGE && !now {
            continue;
        }
        // SAFETY: none of the three changes what the mapping holds; madvise(2), MADV_POPULATE_WRITE: it triggers
        // write faults "without actually writing".
        let _ = unsafe { libc::madvise(start.as_ptr().cast(), size.get(), advice) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, size, now);
}
