//! `without_io_uring COMMAND…`: runs a command that may not use io_uring, as in many containers.
//!
//! seccomp(2) refuses `io_uring_setup` with EPERM, for the command and all that it starts.

use std::{env, io, os::unix::process::CommandExt, process::Command};

#[cfg(target_os = "linux")]
fn forbid_io_uring() -> io::Result<()> {
    const LOAD_CALL_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_CALL_NUMBER, 0, 0, 0), // `seccomp_data.nr`
        step(JUMP_IF_EQUAL, 0, 1, libc::SYS_io_uring_setup as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: it takes integers. seccomp(2): without privileges a filter needs it.
    let no_privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if no_privileges != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the filter and its steps outlive the call, which copies them.
    match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
fn forbid_io_uring() -> io::Result<()> {
    Ok(()) // there is none
}

fn main() -> io::Result<()> {
    let mut words = env::args_os().skip(1);
    let Some(program) = words.next() else {
        return Err(io::Error::other("without_io_uring COMMAND…"));
    };
    forbid_io_uring()?;
    Err(Command::new(program).args(words).exec())
}
