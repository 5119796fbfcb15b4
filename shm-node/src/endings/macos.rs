//! How ends look on macOS.

pub(super) use super::unix::{is_running, print};
use std::mem::MaybeUninit;

// sys/proc_info.h; the libc crate does not have it.
const PROC_FLAG_INEXIT: u32 = 4;

/// A worker's end closes the library, and the linker has no way to forbid that. So it is opened once more, for good.
pub(super) fn stay_loaded(inside: *const ()) {
    let mut library = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: it writes the whole structure where it does not return 0.
    let found = unsafe { libc::dladdr(inside.cast(), library.as_mut_ptr()) } != 0;
    // SAFETY: written, as it was found.
    let Some(library) = found.then(|| unsafe { library.assume_init() }) else { return };
    // SAFETY: the name is the loader's own string. As it is loaded already, nothing of it runs again.
    unsafe { libc::dlopen(library.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
}

/// Nobody ends a process that way here.
pub(super) const fn run_at_quick_exit(_handler: extern "C" fn()) {}

/// Whether a process is in its exit(2). Once it is a zombie, it has let go of everything.
pub(super) fn is_dying(pid: u32) -> bool {
    let mut told = MaybeUninit::<libc::proc_bsdinfo>::uninit();
    let size = size_of_val(&told) as libc::c_int;
    let (pid, target, zombies_too) = (pid.cast_signed(), told.as_mut_ptr().cast(), 1);
    // SAFETY: it writes `size` bytes at the most, and returns how many.
    let written = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, zombies_too, target, size) };
    // SAFETY: all of it was written.
    let told = (written == size).then(|| unsafe { told.assume_init() });
    told.is_some_and(|told| told.pbi_flags & PROC_FLAG_INEXIT != 0 && told.pbi_status != libc::SZOMB)
}
