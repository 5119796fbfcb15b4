//! How ends look on Linux.

use std::fs;

/// The library was linked so that it stays (see `build.rs`).
pub(super) const fn stay_loaded(_inside: *const ()) {}

/// proc(5), /proc/pid/stat: the state, Z for a zombie (other threads of it may still be at work), and among the
/// flags PF_EXITING, 4.
pub(super) fn is_dying(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.next() == Some("Z")
        || fields.nth(5).and_then(|flags| flags.parse().ok()).is_some_and(|flags: u32| flags & 4 != 0)
}
