//! Handles that close themselves, and the error code of a call that failed.

use std::{
    mem,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
};
use windows_sys::Win32::Foundation::{GetLastError, HANDLE};

/// The code of the call that this thread made last, where it failed.
pub(crate) fn last_error() -> u32 {
    // SAFETY: it reads a number of this thread.
    unsafe { GetLastError() }
}

/// The handle that a call has just returned to this thread; `Err` with its code where it returned none.
///
/// # Safety
///
/// It is null, or a handle that nobody else closes.
pub(crate) unsafe fn owned(handle: HANDLE) -> Result<OwnedHandle, u32> {
    if handle.is_null() {
        return Err(last_error());
    }
    // SAFETY: by the caller's promise.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The same object by a handle with a higher number than `first`. The kernel closes the handles of a dead process
/// from the lowest on, so that this one goes later. Where there is no room for another handle it stays as it is.
pub(crate) fn closed_after(first: &OwnedHandle, handle: OwnedHandle) -> OwnedHandle {
    let (mut handle, mut low) = (handle, Vec::new());
    while handle.as_raw_handle().addr() < first.as_raw_handle().addr() {
        let Ok(next) = handle.try_clone() else { break };
        low.push(mem::replace(&mut handle, next)); // open meanwhile, so that no number comes twice
    }
    handle
}
