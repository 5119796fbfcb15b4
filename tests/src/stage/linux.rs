//! Namespaces, and other users.

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use shm_lifetime::Lifetime;
use std::{fs, io};

/// Moves this process into mount and IPC namespaces of its own, with an empty `/dev/shm` of that size.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn enter_new_world(size: &str) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for folder in ["/dev/shm", "/tmp"] {
        let options = format!("size={size},mode=1777");
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
    }
    Ok(())
}

/// Moves this process into an IPC namespace of its own.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn enter_new_ipc() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWIPC)
}

/// Puts an empty folder in the place of one.
pub(super) fn cover(folder: &str) -> nix::Result<()> {
    let none: Option<&str> = None;
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), none)
}

pub(super) fn join(pid: &str) -> io::Result<()> {
    for (namespace, kind) in [("ipc", CloneFlags::CLONE_NEWIPC), ("mnt", CloneFlags::CLONE_NEWNS)] {
        setns(fs::File::open(format!("/proc/{pid}/ns/{namespace}"))?, kind)?;
    }
    Ok(())
}

/// Becomes another user for good, in that group and no other.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn become_user(uid: u32, gid: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Has this process die with the thread that started it. A change of user takes this back.
pub fn die_with_parent() {
    // SAFETY: it takes integers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// What a POSIX record of this system has for its namespace.
///
/// # Panics
///
/// Where there is no `/dev/shm`.
pub fn posix_namespace(_lifetime: &Lifetime) -> u64 {
    nix::sys::stat::stat("/dev/shm").expect("it is mounted").st_dev
}
