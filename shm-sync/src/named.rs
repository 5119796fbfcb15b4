//! Named objects of the Windows kernel: who may open them, and handles that close themselves.

use std::{
    io,
    os::windows::io::{FromRawHandle, OwnedHandle},
    ptr,
};
use windows_sys::Win32::{
    Foundation::{HANDLE, LocalFree},
    Security::{
        Authorization::{ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1},
        SECURITY_ATTRIBUTES,
    },
};

/// UTF-16 with its NUL.
pub(crate) fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().chain([0]).collect()
}

/// An access list.
#[derive(Debug)]
pub(crate) struct Access(*mut core::ffi::c_void);

impl Access {
    /// Of the security descriptor definition language.
    pub(crate) fn parse(text: &str) -> Result<Self, u32> {
        let (text, mut made, revision) = (wide(text), ptr::null_mut(), SDDL_REVISION_1);
        let length = ptr::null_mut();
        // SAFETY: a string with its NUL; it writes a pointer.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                revision,
                &raw mut made,
                length,
            )
        };
        match done {
            0 => Err(last_error()),
            _ => Ok(Self(made)),
        }
    }

    /// For a call that makes an object; valid as long as `self`.
    pub(crate) const fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // SAFETY: `parse` got it so, and nobody else frees it.
        unsafe { LocalFree(self.0) };
    }
}

/// The handle that a call has just returned to this thread, or the code with which it failed.
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

pub(crate) fn last_error() -> u32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0).cast_unsigned()
}
