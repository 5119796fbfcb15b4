//! Mapped memfds, and a live file that is one too.

use nix::sys::memfd::{MFdFlags, memfd_create};
use shm_sync::Live;
use std::{
    fs::{File, OpenOptions},
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    process::{Child, Command, ExitStatus},
    ptr::NonNull,
    sync::OnceLock,
};

pub(crate) use libc::EBUSY;

const LIVE: &str = "SHM_MAP_TEST_LIVE";

/// A backend with names.
pub(crate) const fn backend() -> shm_posix::Posix {
    shm_posix::Posix::new()
}

fn memfd(size: u64) -> File {
    let file = File::from(memfd_create(c"shm-map-test", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(size).unwrap();
    file
}

/// By which another process opens it.
fn path(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// The live file, and its name: that of the parent in a child.
fn live_and_name() -> &'static (&'static Live, String) {
    static LIVE_FILE: OnceLock<(&Live, String)> = OnceLock::new();
    LIVE_FILE.get_or_init(|| {
        let file = std::env::var(LIVE).map_or_else(|_| memfd(0), |name| open(&name));
        let name = path(&file);
        (Live::over(file.into()).unwrap(), name)
    })
}

pub(crate) fn live() -> &'static Live {
    live_and_name().0
}

/// Has a child use the same live file.
pub(crate) fn share_live(child: &mut Command) -> &mut Command {
    child.env(LIVE, &live_and_name().1)
}

/// Zeroed memory.
pub(crate) struct Memory {
    mapping: memmap2::MmapRaw,
    file: File,
}

impl Memory {
    pub(crate) fn new(size: u64) -> Self {
        Self::over(memfd(size))
    }

    /// That of another process, by its name.
    pub(crate) fn named(name: &str) -> Self {
        Self::over(open(name))
    }

    fn over(file: File) -> Self {
        Self { mapping: memmap2::MmapRaw::map_raw(&file).unwrap(), file }
    }

    pub(crate) fn name(&self) -> String {
        path(&self.file)
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        NonNull::new(self.mapping.as_mut_ptr()).unwrap()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }
}

pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGKILL)
}

/// Whether a process is there and is not about to end: one that ends loses its locks first.
pub(crate) fn is_running(process: u32) -> bool {
    const EXITING: u32 = 4;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name come the state and, as the seventh, the flags of the kernel.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let is_there = fields.next().is_some_and(|state| !["Z", "X"].contains(&state));
    let flags = fields.nth(5).and_then(|flags| flags.parse().ok());
    is_there && flags.is_some_and(|flags: u32| flags & EXITING == 0)
}

/// Stops a child, and waits until it stands still or is dead.
pub(crate) fn stop(child: &Child) -> bool {
    let pid = child.id().cast_signed();
    // SAFETY: no pointers. It is a child that nobody has waited for, so the number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
    while is_running(child.id()) && !is_stopped(child.id()) {
        std::thread::yield_now();
    }
    true
}

fn is_stopped(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}
