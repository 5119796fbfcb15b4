//! How ends look on Windows.

use std::{
    io::{self, Write},
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
};
use windows_sys::Win32::{
    Foundation::WAIT_TIMEOUT,
    System::{
        LibraryLoader::{
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
        },
        Threading::{OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject},
    },
};

/// A worker's end closes the library. So it is kept for good.
pub(super) fn stay_loaded(inside: *const ()) {
    let how = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let mut library = ptr::null_mut();
    // SAFETY: with that flag the name is an address in the library; it writes a handle that nobody has to close.
    unsafe { GetModuleHandleExW(how, inside.cast(), &raw mut library) };
}

/// Nobody ends a process that way here.
pub(super) const fn run_at_quick_exit(_handler: extern "C" fn()) {}

/// Whether a child has not ended yet. Node has its handle open, so its number is no other process's.
pub(super) fn is_running(pid: u32) -> bool {
    // SAFETY: it takes numbers.
    let process = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, pid) };
    if process.is_null() {
        return false;
    }
    // SAFETY: a new handle.
    let process = unsafe { OwnedHandle::from_raw_handle(process) };
    // SAFETY: an open handle.
    unsafe { WaitForSingleObject(process.as_raw_handle(), 0) == WAIT_TIMEOUT }
}

/// Whether a process is ending. The system does not tell, and need not: what such a process holds, its kernel frees.
pub(super) const fn is_dying(_pid: u32) -> bool {
    false
}

/// Prints a line. If it cannot be written, it is left out.
pub(super) fn print(line: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line).and_then(|()| stdout.flush());
}
