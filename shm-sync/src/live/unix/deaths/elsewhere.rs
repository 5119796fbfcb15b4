//! Not built here.

use nix::errno::Errno;
use std::os::fd::RawFd;

#[derive(Debug)]
pub(super) struct Watch(());

impl Watch {
    pub(super) fn new() -> Result<Self, Errno> {
        Err(Errno::ENOSYS)
    }

    pub(super) fn add(&self, _file: RawFd) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    pub(super) fn wait(&self) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}
