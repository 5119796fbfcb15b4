//! Handles that close themselves, and the error code of a call that failed.

use std::os::windows::io::{FromRawHandle, OwnedHandle};
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
