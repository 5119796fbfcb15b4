//! How ends look on Linux.

pub(super) use super::unix::{is_running, print};
use libc::c_int;
use std::fs;

unsafe extern "C" {
    /// at_quick_exit(3); the libc crate does not have it.
    fn at_quick_exit(handler: extern "C" fn()) -> c_int;
}

/// The library was linked so that it stays (see `build.rs`).
pub(super) const fn stay_loaded(_inside: *const ()) {}

/// Bun ends by quick_exit(3), where the handlers of exit(3) do not run.
pub(super) fn run_at_quick_exit(handler: extern "C" fn()) {
    // SAFETY: the library stays loaded, and with it the handler.
    unsafe { at_quick_exit(handler) };
}

/// Whether a process is ending. A process that has ended and waits for its parent does not count.
///
/// proc_pid_stat(5): the state (3), Z for a zombie; flags (9), of which PF_EXITING is 4; num_threads (20), as others of
/// a zombie may still be at work; and signal (31), the signals pending for the thread, among which is SIGKILL for each
/// thread of a process that a signal ends.
pub(super) fn is_dying(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let number =
        |place: usize| fields.get(place - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let has_gone = fields[0] == "Z" && number(20) <= 1;
    let is_killed = number(31) & 1 << (libc::SIGKILL - 1) != 0;
    !has_gone && (fields[0] == "Z" || number(9) & 4 != 0 || is_killed)
}
