//! The number of mappings that this process can still make.
//!
//! The system limits the mappings of a process. At the limit it refuses a segment. But V8, whose heap grows by
//! mappings too, then gets none either, and ends the process. So creating segments stops before the limit.

use nix::errno::Errno;
use shm_api::OsError;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many segments may come before the mappings are counted again: the more there are, the longer counting takes.
static UNCOUNTED: AtomicUsize = AtomicUsize::new(1024);

/// To be asked before a mapping is made.
///
/// # Errors
///
/// `ENOMEM` if too few are left.
pub(crate) fn check() -> Result<(), OsError> {
    if UNCOUNTED.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
        return Ok(());
    }
    let Some((limit, used)) = limit().zip(used()) else { return Ok(()) };
    let kept = limit / 8;
    let left = limit.saturating_sub(kept + used);
    if left == 0 {
        return Err(OsError::new("mmap", Errno::ENOMEM as i32).advise(format!(
            "This process has {used} mappings of the {limit} that it may have (vm.max_map_count), and {kept} are \
             left to Node itself: detach segments, or raise the limit."
        )));
    }
    UNCOUNTED.store(left - 1, Relaxed);
    Ok(())
}

fn limit() -> Option<usize> {
    fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

/// A line each.
fn used() -> Option<usize> {
    Some(BufReader::new(File::open("/proc/self/maps").ok()?).split(b'\n').count())
}
