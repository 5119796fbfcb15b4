//! How ends look on every Unix.

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    unistd::write,
};
use std::{mem::MaybeUninit, os::fd::AsFd};

/// How long the line may wait for room on standard output.
const LINE_WAIT_MS: u16 = 5000;

/// waitid(2): whether a child has not ended yet. WNOWAIT leaves it to be waited for by the code that started it.
pub(super) fn is_running(pid: u32) -> bool {
    let mut ended = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is ours to write to.
    let result = unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, ended.as_mut_ptr(), options) };
    // SAFETY: zero is a value of each of its plain numbers, and the call wrote no other.
    let ended = unsafe { ended.assume_init() };
    // SAFETY: of a child's end, or zero where none has ended.
    result == 0 && unsafe { ended.si_pid() } == 0
}

/// Prints a line. If it cannot be written, it is left out.
pub(super) fn print(line: &[u8]) {
    let mut rest = line;
    let stdout = std::io::stdout();
    while !rest.is_empty() {
        match write(stdout.as_fd(), rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            // A pipe that was set not to block, and is full: its reader may be slow.
            Err(Errno::EAGAIN) => {
                let mut room = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
                if !matches!(poll(&mut room, LINE_WAIT_MS), Ok(1) | Err(Errno::EINTR)) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
