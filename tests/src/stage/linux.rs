//! Namespaces, other users, and system calls that fail.

use super::{Ground, ground};
use nix::{
    errno::Errno,
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
/// `EPERM` without the right to. For ext4 it takes `mkfs.ext4` and a loop device as well.
pub fn enter_new_world(size: &str, on: Ground) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for folder in ["/dev/shm", "/tmp"] {
        let options = format!("size={size},mode=1777");
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
    }
    ground::lay(on, size)
}

/// Moves this process into an IPC namespace of its own.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn enter_new_ipc() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWIPC)
}

/// Moves this process into a mount namespace of its own, in which everything is as before.
pub(super) fn enter_new_mounts() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)
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

/// What a POSIX entry of this system has for its namespace.
///
/// # Panics
///
/// Where there is no `/dev/shm`.
pub fn posix_namespace(_lifetime: &Lifetime) -> u64 {
    nix::sys::stat::stat("/dev/shm").expect("it is mounted").st_dev
}

/// Has a system call fail with that errno in this process from now on: `fallocate`, `long-fallocate` (of more than 1
/// MiB), `lease` (the `fcntl` that asks for one) or `linkat`.
pub(super) fn refuse(call: &str, errno: i32) -> nix::Result<()> {
    let (number, argument) = match call {
        "fallocate" => (libc::SYS_fallocate, None),
        "long-fallocate" => (libc::SYS_fallocate, Some((3, libc::BPF_JGT, 1 << 20))),
        "lease" => (libc::SYS_fcntl, Some((1, libc::BPF_JEQ, libc::F_SETLEASE as u32))),
        "linkat" => (libc::SYS_linkat, None),
        _ => return Err(Errno::EINVAL),
    };
    /// Where `struct seccomp_data` has the call's number and the lower half of its first argument.
    const NUMBER: u32 = 0;
    const FIRST: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    let load = |offset| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    let unless = |how, skip, value| instruction(libc::BPF_JMP | how | libc::BPF_K, skip, value);
    let answer = |value| instruction(libc::BPF_RET | libc::BPF_K, 0, value);
    let refused = answer(libc::SECCOMP_RET_ERRNO | errno as u32);
    let allowed = answer(libc::SECCOMP_RET_ALLOW);
    let skip = if argument.is_some() { 3 } else { 1 };
    let mut filter = vec![load(NUMBER), unless(libc::BPF_JEQ, skip, number as u32)];
    if let Some((place, how, value)) = argument {
        filter.extend([load(FIRST + 8 * place), unless(how, 1, value)]);
    }
    filter.extend([refused, allowed]);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: it reads the program, and copies it.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }).map(drop)
}

/// One instruction of a filter; a jump whose condition is not met skips that many.
const fn instruction(code: u32, skip: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: skip, k: value }
}
