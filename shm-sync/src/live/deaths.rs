//! The news that an owner may have died: who waits for one need not ask again and again.
//!
//! A process that dies closes the live files that it had open for writing. An owner that dies before its process changes
//! the file's times. Both can be watched on Linux.

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

/// Hears of deaths under the live files that this process uses.
#[derive(Debug)]
pub struct Deaths(system::Watch);

impl Deaths {
    /// One that watches nothing yet.
    ///
    /// # Errors
    ///
    /// Where the system has no such thing, or no more of them: on Linux it is an inotify instance.
    pub fn new() -> Result<Self, SyncError> {
        system::Watch::new().map(Self).map_err(|errno| failed("inotify_init1", errno))
    }

    /// Hears of each death from now on, under all live files that this process uses by now.
    ///
    /// # Errors
    ///
    /// Where one of them cannot be watched.
    pub fn watch(&self) -> Result<(), SyncError> {
        for live in Live::all() {
            let file = live.file.get()?.as_raw_fd();
            self.0.add(file).map_err(|errno| failed("inotify_add_watch", errno))?;
        }
        Ok(())
    }

    /// Blocks until owners may have died. They look alive for a moment yet: the kernel tells of it just before it drops
    /// their locks. Other reasons for the news are a process that opened a live file for a moment only, or a file whose
    /// mode was changed.
    ///
    /// # Errors
    ///
    /// Where somebody closed the descriptor under us: nothing is heard any more.
    pub fn wait(&self) -> Result<(), SyncError> {
        self.0.wait().map_err(|errno| failed("read", errno))
    }
}

/// Tells all that an owner of this process has died.
pub(super) fn announce(file: impl AsFd) {
    // If it fails, they hear of it when this process ends.
    let _ = futimens(file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW);
}

fn failed(call: &'static str, errno: nix::errno::Errno) -> SyncError {
    OsError::new(call, errno as i32)
        .advise("It was about hearing of deaths: ask again and again instead.")
        .into()
}
