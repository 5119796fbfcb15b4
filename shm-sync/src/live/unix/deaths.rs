//! Notifications that an owner may have died, so that a waiter need not check again and again.
//!
//! When a process dies, the live files that it had open for writing are closed. When an owner dies before its process,
//! it changes the times of the file. Both can be watched on Linux.

use super::Live;
use crate::SyncError;
use nix::sys::{stat::futimens, time::TimeSpec};
use shm_api::OsError;
use std::os::fd::{AsFd, AsRawFd};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod elsewhere;
        use elsewhere as system;
    }
}

/// Watches the live files that this process uses for the deaths of owners.
#[derive(Debug)]
pub struct Deaths(system::Watch);

impl Deaths {
    /// Makes one that watches nothing yet.
    ///
    /// # Errors
    ///
    /// If the system cannot watch files, or allows no more of these. (On Linux it is an inotify instance.)
    pub fn new() -> Result<Self, SyncError> {
        system::Watch::new().map(Self).map_err(|errno| failed("inotify_init1", errno))
    }

    /// Watches all live files that this process uses now, from now on.
    ///
    /// # Errors
    ///
    /// If one of them cannot be watched.
    pub fn watch(&self) -> Result<(), SyncError> {
        for live in Live::all() {
            let file = live.space.file.get()?.as_raw_fd();
            self.0.add(file).map_err(|errno| failed("inotify_add_watch", errno))?;
        }
        Ok(())
    }

    /// Blocks until owners may have died. For a moment they still look alive, because the kernel reports the close just
    /// before it drops their locks. It may also return if a process has opened a live file for a moment only, or if the
    /// mode of a file was changed.
    ///
    /// # Errors
    ///
    /// If the program has closed the descriptor. Then nothing is reported any more.
    pub fn wait(&self) -> Result<(), SyncError> {
        self.0.wait().map_err(|errno| failed("read", errno))
    }
}

/// Tells all processes that an owner of this process has died.
pub(super) fn announce(file: impl AsFd) {
    // If it fails, they notice when this process ends.
    let _ = futimens(file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
}

fn failed(call: &'static str, errno: nix::errno::Errno) -> SyncError {
    OsError::new(call, errno as i32)
        .advise("Deaths of owners are not reported now: check again and again instead.")
        .into()
}
