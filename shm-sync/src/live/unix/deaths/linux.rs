//! inotify(7).

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};
use std::{
    fs,
    os::fd::{AsFd, AsRawFd, RawFd},
};

#[derive(Debug)]
pub(super) struct Watch(Inotify);

impl Watch {
    pub(super) fn new() -> Result<Self, Errno> {
        Inotify::init(InitFlags::IN_CLOEXEC).map(Self)
    }

    /// Watches a file, also one that has lost its name.
    pub(super) fn add(&self, file: RawFd) -> Result<(), Errno> {
        let news = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ATTRIB;
        self.0.add_watch(path(file).as_str(), news).map(drop)
    }

    pub(super) fn wait(&self) -> Result<(), Errno> {
        // Programs close descriptors that are not theirs, and their next file then has our number.
        let what = fs::read_link(path(self.0.as_fd().as_raw_fd()));
        if !what.is_ok_and(|what| what.as_os_str() == "anon_inode:inotify") {
            return Err(Errno::EBADF);
        }
        loop {
            match self.0.read_events() {
                Err(Errno::EINTR) => {}
                read => return read.map(drop),
            }
        }
    }
}

fn path(descriptor: RawFd) -> String {
    format!("/proc/self/fd/{descriptor}")
}
