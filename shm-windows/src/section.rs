//! Sections: what the kernel calls a file mapping.

use crate::{failed::Failed, name::Wide};
use shm_lifetime::named::{Access, last_error, owned};
use std::{
    ffi::c_void,
    num::NonZeroUsize,
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr::{self, NonNull},
    slice,
};
use windows_sys::{
    Wdk::Foundation::{NtQueryObject, OBJECT_NAME_INFORMATION, ObjectBasicInformation},
    Win32::{
        Foundation::{
            ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_NOT_SUPPORTED,
            INVALID_HANDLE_VALUE, RtlNtStatusToDosError,
        },
        Security::SECURITY_ATTRIBUTES,
        System::{
            Memory::{
                CreateFileMappingW, FILE_MAP_READ, MEM_COMMIT, MEMORY_BASIC_INFORMATION, MapViewOfFile,
                OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile, VirtualQuery,
            },
            WindowsProgramming::PUBLIC_OBJECT_BASIC_INFORMATION,
        },
    },
};

/// A new section of so many bytes, all zero, with its room reserved in the paging file; `None` if the name is taken.
pub(crate) fn create(name: &Wide, size: usize, access: &Access) -> Result<Option<OwnedHandle>, Failed> {
    let attributes = access.attributes();
    match make(&raw const attributes, name.as_ptr(), size) {
        Ok((_, true)) | Err(Failed { code: ERROR_ACCESS_DENIED, .. }) => Ok(None), // another user's
        made => Ok(Some(made?.0)),
    }
}

/// A new section, or the one that has the name already.
pub(crate) fn create_or_open(name: &Wide, size: usize, access: &Access) -> Result<OwnedHandle, Failed> {
    let attributes = access.attributes();
    let (section, existed) = make(&raw const attributes, name.as_ptr(), size)?;
    if existed {
        access.apply(&section).map_err(|code| Failed::new("SetKernelObjectSecurity", code))?;
    }
    Ok(section)
}

/// A section without a name.
pub(crate) fn create_private(size: usize) -> Result<OwnedHandle, Failed> {
    make(ptr::null(), ptr::null(), size).map(|(section, _)| section)
}

/// The section, and whether it existed.
fn make(
    attributes: *const SECURITY_ATTRIBUTES,
    name: *const u16,
    size: usize,
) -> Result<(OwnedHandle, bool), Failed> {
    let (high, low) = ((size as u64 >> 32) as u32, size as u32);
    // SAFETY: both are null, or valid while the call lasts.
    let made =
        unsafe { CreateFileMappingW(INVALID_HANDLE_VALUE, attributes, PAGE_READWRITE, high, low, name) };
    let existed = last_error() == ERROR_ALREADY_EXISTS;
    // SAFETY: a new handle, or null.
    let made = unsafe { owned(made) }.map_err(|code| Failed::new("CreateFileMapping", code))?;
    Ok((made, existed))
}

/// The section of that name, for `access` to it; `None` if there is none.
pub(crate) fn open(name: &Wide, access: u32) -> Result<Option<OwnedHandle>, Failed> {
    // SAFETY: a string with its NUL.
    let opened = unsafe { OpenFileMappingW(access, 0, name.as_ptr()) };
    // SAFETY: a new handle, or null.
    match unsafe { owned(opened) } {
        Ok(section) => Ok(Some(section)),
        Err(ERROR_FILE_NOT_FOUND) => Ok(None),
        Err(code) => Err(Failed::new("OpenFileMapping", code)),
    }
}

/// Whether there is a section of that name, of any user.
pub(crate) fn exists(name: &Wide) -> Result<bool, Failed> {
    match open(name, FILE_MAP_READ) {
        Ok(found) => Ok(found.is_some()),
        Err(Failed { code: ERROR_ACCESS_DENIED, .. }) => Ok(true),
        Err(failed) => Err(failed),
    }
}

/// How many handles of it all processes have beside this one.
pub(crate) fn other_handles(section: &OwnedHandle) -> Result<usize, Failed> {
    let mut found = PUBLIC_OBJECT_BASIC_INFORMATION::default();
    let (target, size) = ((&raw mut found).cast(), size_of_val(&found) as u32);
    let (handle, class) = (section.as_raw_handle(), ObjectBasicInformation);
    // SAFETY: it writes the structure, which has that size.
    let status = unsafe { NtQueryObject(handle, class, target, size, ptr::null_mut()) };
    if status < 0 {
        // SAFETY: a table.
        return Err(Failed::new("NtQueryObject", unsafe { RtlNtStatusToDosError(status) }));
    }
    Ok(found.HandleCount.saturating_sub(1) as usize)
}

/// `ObjectNameInformation`.
const OBJECT_NAME: i32 = 1;

/// Its name, with the path of its namespace.
pub(crate) fn name(section: &OwnedHandle) -> Result<Wide, Failed> {
    let mut buffer = [0_u64; 256]; // aligned for the structure, which the name follows
    let (target, size) = (buffer.as_mut_ptr().cast(), size_of_val(&buffer) as u32);
    let (handle, class) = (section.as_raw_handle(), OBJECT_NAME);
    // SAFETY: the buffer has that size.
    let status = unsafe { NtQueryObject(handle, class, target, size, ptr::null_mut()) };
    if status < 0 {
        // SAFETY: a table.
        return Err(Failed::new("NtQueryObject", unsafe { RtlNtStatusToDosError(status) }));
    }
    // SAFETY: the kernel wrote the structure.
    let name = unsafe { buffer.as_ptr().cast::<OBJECT_NAME_INFORMATION>().read() }.Name;
    // SAFETY: its string lies in the buffer.
    Ok(unsafe { slice::from_raw_parts(name.Buffer, usize::from(name.Length) / 2) }.to_vec())
}

/// The size of a section that this library did not make: whole pages.
pub(crate) fn size_in_pages(section: &OwnedHandle) -> Result<NonZeroUsize, Failed> {
    // SAFETY: an open handle; a new view takes nobody's memory.
    let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ, 0, 0, 0) };
    let start = NonNull::new(view.Value).ok_or_else(|| Failed::new("MapViewOfFile", last_error()))?;
    let committed = committed(start);
    // SAFETY: mapped above, and nobody uses it.
    unsafe { UnmapViewOfFile(view) };
    committed
}

/// Checks that each page of a new view has room. Another program may make a section whose pages are only reserved: a
/// touch of one would end this process.
pub(crate) fn check_room(view: NonNull<c_void>, size: usize) -> Result<(), Failed> {
    match committed(view)?.get() < size {
        true => Err(Failed::new("VirtualQuery", ERROR_NOT_SUPPORTED)),
        false => Ok(()),
    }
}

/// How many bytes of a view have room, from its start on.
fn committed(view: NonNull<c_void>) -> Result<NonZeroUsize, Failed> {
    let failed = |code| Failed::new("VirtualQuery", code);
    let mut found = MEMORY_BASIC_INFORMATION::default();
    // SAFETY: it writes the structure, which has that size.
    if unsafe { VirtualQuery(view.as_ptr(), &raw mut found, size_of_val(&found)) } == 0 {
        return Err(failed(last_error()));
    }
    let size = NonZeroUsize::new(found.RegionSize).filter(|_| found.State == MEM_COMMIT);
    size.ok_or(failed(ERROR_NOT_SUPPORTED))
}
