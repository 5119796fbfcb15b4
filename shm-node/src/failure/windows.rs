//! Codes of errors: Node has the names of errnos on Windows too, and libuv numbers of its own.

use napi::sys;
use windows_sys::Win32::Foundation::*;

/// What makes an error of a class: it looks the function of Node-API up.
pub(super) type Make =
    unsafe fn(sys::napi_env, sys::napi_value, sys::napi_value, *mut sys::napi_value) -> sys::napi_status;

/// Something is not there yet.
pub(crate) const AGAIN: i32 = ERROR_RETRY.cast_signed();
/// Something is locked.
pub(crate) const BUSY: i32 = ERROR_BUSY.cast_signed();

/// The name of an error, and its number in libuv's `uv/errno.h`.
pub(super) fn named(code: i32) -> (String, i32) {
    let (name, number) = match code.cast_unsigned() {
        ERROR_ACCESS_DENIED => ("EACCES", -4092),
        ERROR_RETRY | ERROR_MAX_THRDS_REACHED => ("EAGAIN", -4088),
        ERROR_BUSY | ERROR_LOCK_VIOLATION | ERROR_SHARING_VIOLATION => ("EBUSY", -4082),
        ERROR_INVALID_PARAMETER | ERROR_INVALID_HANDLE | ERROR_INVALID_NAME => ("EINVAL", -4071),
        ERROR_TOO_MANY_OPEN_FILES => ("EMFILE", -4066),
        ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND => ("ENOENT", -4058),
        ERROR_NOT_ENOUGH_MEMORY
        | ERROR_OUTOFMEMORY
        | ERROR_COMMITMENT_LIMIT
        | ERROR_COMMITMENT_MINIMUM
        | ERROR_NO_SYSTEM_RESOURCES
        | ERROR_WORKING_SET_QUOTA
        | ERROR_PAGEFILE_QUOTA => ("ENOMEM", -4057),
        ERROR_DISK_FULL | ERROR_HANDLE_DISK_FULL => ("ENOSPC", -4055),
        ERROR_NOT_SUPPORTED => ("ENOTSUP", -4049),
        ERROR_TIMEOUT | WAIT_TIMEOUT => ("ETIMEDOUT", -4039),
        _ => ("UNKNOWN", -4094),
    };
    (name.to_owned(), number)
}
