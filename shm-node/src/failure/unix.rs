//! Codes of errors: the names of errnos.

use napi::sys;
use nix::errno::Errno;

/// What makes an error of a class.
pub(super) type Make = unsafe extern "C" fn(
    sys::napi_env,
    sys::napi_value,
    sys::napi_value,
    *mut sys::napi_value,
) -> sys::napi_status;

/// Something is not there yet.
pub(crate) const AGAIN: i32 = Errno::EAGAIN as i32;
/// Something is locked.
pub(crate) const BUSY: i32 = Errno::EBUSY as i32;

/// The name of an error, and its number as libuv and so Node has it: negative.
pub(super) fn named(errno: i32) -> (String, i32) {
    let name = match Errno::from_raw(errno) {
        Errno::EOPNOTSUPP => "ENOTSUP".to_owned(), // two names for one number; Node has this one
        errno => format!("{errno:?}"),
    };
    (name, -errno)
}
