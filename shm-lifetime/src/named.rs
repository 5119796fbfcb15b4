//! Named objects of the Windows kernel: who may open them, and handles that close themselves.

use std::{
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
};
use windows_sys::Win32::{
    Foundation::{GetLastError, HANDLE, LocalFree},
    Security::{
        Authorization::{ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1},
        DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, SetKernelObjectSecurity,
    },
};

/// UTF-16 with its NUL.
pub fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().chain([0]).collect()
}

/// An access list.
#[derive(Debug)]
pub struct Access(PSECURITY_DESCRIPTOR);

impl Access {
    /// Reads the security descriptor definition language.
    ///
    /// # Errors
    ///
    /// The code with which the call `ConvertStringSecurityDescriptorToSecurityDescriptor` failed.
    pub fn parse(text: &str) -> Result<Self, u32> {
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
    pub const fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }

    /// Gives an existing object this list.
    ///
    /// # Errors
    ///
    /// The code with which the call `SetKernelObjectSecurity` failed.
    pub fn apply(&self, object: &OwnedHandle) -> Result<(), u32> {
        // SAFETY: a handle and a descriptor of ours.
        match unsafe { SetKernelObjectSecurity(object.as_raw_handle(), DACL_SECURITY_INFORMATION, self.0) } {
            0 => Err(last_error()),
            _ => Ok(()),
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
/// # Errors
///
/// The code, if the handle is null.
///
/// # Safety
///
/// It is null, or a handle that nobody else closes.
pub unsafe fn owned(handle: HANDLE) -> Result<OwnedHandle, u32> {
    if handle.is_null() {
        return Err(last_error());
    }
    // SAFETY: by the caller's promise.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The code of this thread's last call, if that failed.
pub fn last_error() -> u32 {
    // SAFETY: it reads a number of this thread.
    unsafe { GetLastError() }
}
