//! Other users; there are no namespaces, so the tests that need them skip themselves.

use super::Ground;
use nix::{
    errno::Errno,
    unistd::{Gid, Uid, setgid, setuid},
};
use shm_lifetime::Lifetime;
use std::{io, ptr};

/// There are no namespaces here.
///
/// # Errors
///
/// `ENOTSUP`, always.
pub fn enter_new_world(_size: &str, _ground: Ground) -> io::Result<()> {
    Err(Errno::ENOTSUP.into())
}

/// There are no namespaces here.
///
/// # Errors
///
/// `ENOTSUP`, always.
pub const fn enter_new_ipc() -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

pub(super) const fn enter_new_mounts() -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

pub(super) const fn cover(_folder: &str) -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

pub(super) const fn refuse(_call: &str, _errno: i32) -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

pub(super) fn join(_pid: &str) -> io::Result<()> {
    Err(Errno::ENOTSUP.into())
}

/// Becomes another user for good, in that group and no other.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn become_user(uid: u32, gid: u32) -> nix::Result<()> {
    // SAFETY: there are none to read.
    Errno::result(unsafe { libc::setgroups(0, ptr::null()) })?;
    // For root these set the real, the effective and the saved one.
    setgid(Gid::from_raw(gid))?;
    setuid(Uid::from_raw(uid))
}

/// There is no call for it here: the processes of a storm that is killed have to be ended by hand. It says so.
pub fn die_with_parent() {
    crate::skip("the children of a storm do not die with it here");
}

/// What a POSIX entry of this system has for its namespace.
pub fn posix_namespace(lifetime: &Lifetime) -> u64 {
    lifetime.namespaces().ipc
}
