//! What a call that failed is reported as: its code, the key, and what to do.

use shm_api::{Key, OsError};
use std::num::NonZeroUsize;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_BUSY, ERROR_INVALID_HANDLE, ERROR_NOT_SUPPORTED,
};

/// A call that failed, with the code of `GetLastError`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    pub(crate) call: &'static str,
    pub(crate) code: u32,
}

impl Failed {
    pub(crate) const fn new(call: &'static str, code: u32) -> Self {
        Self { call, code }
    }

    /// While a segment was looked up, opened or mapped.
    pub(crate) fn on(self, key: &Key) -> OsError {
        let advice = match self.code {
            ERROR_ACCESS_DENIED => "Its mode does not let this user open it.",
            ERROR_BUSY => "Another process has locked this key for a second: try again.",
            ERROR_INVALID_HANDLE => "An object of another kind has that name: choose another key.",
            _ => "",
        };
        self.bare(key).advise(advice)
    }

    /// While a segment was made.
    pub(crate) fn making(self, key: &Key, size: NonZeroUsize) -> OsError {
        match self.code {
            ERROR_BUSY | ERROR_INVALID_HANDLE => self.on(key),
            ERROR_ACCESS_DENIED | ERROR_ALREADY_EXISTS | ERROR_NOT_SUPPORTED => self.bare(key).advise(
                "Another program has an object of a name that this library needs for the key: choose another key.",
            ),
            _ => self.bare(key).advise(format!(
                "Asked for {size} bytes: more than the paging file or this process has room for. Ask for less."
            )),
        }
    }

    fn bare(self, key: &Key) -> OsError {
        OsError::new(self.call, self.code.cast_signed()).on(key)
    }
}

/// Something that Windows does not have.
pub(crate) fn not_supported(call: &'static str, key: &Key, why: &'static str) -> OsError {
    Failed::new(call, ERROR_NOT_SUPPORTED).bare(key).advise(why)
}
