//! Two processes over one block of memory.

use nix::sys::memfd::{MFdFlags, memfd_create};
use shm_api::Access;
use shm_sync::{Live, Region};
use std::{fs::File, ptr::NonNull};

fn memfd(size: usize) -> File {
    let file = File::from(memfd_create(c"shm-benches", MFdFlags::MFD_CLOEXEC).expect("a memfd"));
    file.set_len(size as u64).expect("room for a memfd");
    file
}

/// Zeros, shared with the children of forks and mapped until the program ends.
pub fn memory(size: usize) -> Region<'static> {
    let map = memmap2::MmapOptions::new().populate().map_raw(&memfd(size)).expect("room for a mapping");
    let start = NonNull::new(map.as_mut_ptr()).expect("mmap never maps at 0");
    std::mem::forget(map);
    // SAFETY: mapped for ever.
    unsafe { Region::from_raw(start, size, Access::ReadWrite) }
}

/// A live file that is gone with the program.
pub fn live() -> &'static Live {
    Live::over(memfd(0).into()).expect("a live file")
}

/// Runs `there` in a child process and `here` in this one, which has one thread; returns what `here` does.
pub fn together<T>(there: impl FnOnce(), here: impl FnOnce() -> T) -> T {
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: no pointers. If the parent fails, the child must not spin on.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(there));
        // SAFETY: it only ends the process.
        unsafe { libc::_exit(outcome.is_err().into()) };
    }
    let result = here();
    let mut status = 0;
    // SAFETY: the status stands on our stack.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    result
}
