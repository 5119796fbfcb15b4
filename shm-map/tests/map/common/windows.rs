//! Named sections.

use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_sync::Live;
use shm_windows::{Windows, WindowsSegment};
use std::{
    num::NonZeroUsize,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    process::{Child, Command, ExitStatus},
    ptr::NonNull,
};
use windows_sys::Win32::{
    Foundation::STILL_ACTIVE,
    System::Threading::{GetExitCodeProcess, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION},
};

/// `ERROR_BUSY`.
pub(crate) const EBUSY: i32 = 170;

/// A backend with names.
pub(crate) const fn backend() -> Windows {
    Windows::new()
}

pub(crate) fn live() -> &'static Live {
    Live::own().unwrap()
}

/// All processes of the session have it in common.
pub(crate) const fn share_live(child: &mut Command) -> &mut Command {
    child
}

/// Zeroed memory.
pub(crate) struct Memory(WindowsSegment);

impl Memory {
    pub(crate) fn new(size: u64) -> Self {
        let options = CreateOptions::new(NonZeroUsize::new(size as usize).unwrap());
        Self(backend().create(&Key::random().unwrap(), &options).unwrap())
    }

    /// That of another process, by its name.
    pub(crate) fn named(name: &str) -> Self {
        Self(backend().attach(&Key::id(name.parse().unwrap()).unwrap()).unwrap())
    }

    pub(crate) fn name(&self) -> String {
        let Key::Id(id) = self.0.key() else { panic!("a random key is an integer") };
        id.to_string()
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.0.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.size().get()
    }
}

/// By `TerminateProcess`: the standard library gives it this exit code. A test that failed ends with another.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}

/// Whether a process is there and is not about to end: one that ends has its exit code before it loses its locks.
pub(crate) fn is_running(process: u32) -> bool {
    // SAFETY: no pointers.
    let opened = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) };
    if opened.is_null() {
        return false;
    }
    // SAFETY: just opened, and nobody else has it.
    let opened = unsafe { OwnedHandle::from_raw_handle(opened) };
    let mut code = 0;
    // SAFETY: an open handle; it writes the number.
    let done = unsafe { GetExitCodeProcess(opened.as_raw_handle(), &raw mut code) };
    done != 0 && code == STILL_ACTIVE.cast_unsigned()
}

/// Windows has no documented call that stops a process.
pub(crate) const fn stop(_child: &Child) -> bool {
    false
}
