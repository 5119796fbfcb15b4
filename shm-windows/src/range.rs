//! Addresses: reserved first, then mapped, and kept when the section is let go.

use crate::{bridge, failed::Failed, section};
use shm_api::Access;
use shm_lifetime::named::last_error;
use shm_lifetime::sections;
use std::{
    mem::ManuallyDrop,
    num::NonZeroUsize,
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr::{self, NonNull},
};
use windows_sys::Win32::{
    Foundation::{ERROR_NOT_ENOUGH_MEMORY, HANDLE},
    System::{
        Memory::{
            MEM_PRESERVE_PLACEHOLDER, MEM_RELEASE, MEM_REPLACE_PLACEHOLDER, MEM_RESERVE,
            MEM_RESERVE_PLACEHOLDER, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile3, PAGE_NOACCESS,
            PAGE_READWRITE, PAGE_WRITECOPY, UnmapViewOfFile, UnmapViewOfFile2, VirtualAlloc2, VirtualFree,
        },
        Threading::GetCurrentProcess,
    },
};

/// Of every processor that Windows runs on.
pub(crate) const PAGE: usize = 4096;

/// A size in whole pages.
pub(crate) fn in_pages(size: NonZeroUsize) -> Result<usize, Failed> {
    let failed = Failed::new("VirtualAlloc2", ERROR_NOT_ENOUGH_MEMORY);
    size.get().checked_next_multiple_of(PAGE).filter(|&size| size <= isize::MAX as usize).ok_or(failed)
}

/// Addresses that nothing else gets. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Placeholder {
    start: NonNull<u8>,
    len: usize,
}

impl Placeholder {
    pub(crate) fn reserve(size: NonZeroUsize) -> Result<Self, Failed> {
        let len = in_pages(size)?;
        let (kind, none) = (MEM_RESERVE | MEM_RESERVE_PLACEHOLDER, ptr::null_mut());
        // SAFETY: a new range takes nobody's memory; there are no parameters.
        let start = unsafe { VirtualAlloc2(none, ptr::null(), len, kind, PAGE_NOACCESS, ptr::null_mut(), 0) };
        let start = NonNull::new(start.cast());
        Ok(Self { start: start.ok_or_else(|| Failed::new("VirtualAlloc2", last_error()))?, len })
    }

    /// Maps a section there, from its start on.
    pub(crate) fn map(self, section: &OwnedHandle, access: Access) -> Result<AddressRange, Failed> {
        let protection = match access {
            Access::ReadWrite => PAGE_READWRITE,
            Access::ReadOnly => PAGE_WRITECOPY,
        };
        map_at(self.start, self.len, section, protection)?;
        let Self { start, len } = *ManuallyDrop::new(self);
        let range = AddressRange { start, len };
        section::check_room(start.cast(), len)?;
        if let Ok(name) = section::name(section) {
            sections::enter(start, len, &name);
        }
        Ok(range)
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        // SAFETY: reserved in `reserve`, and not mapped.
        unsafe { VirtualFree(self.start.as_ptr().cast(), 0, MEM_RELEASE) };
    }
}

/// Maps a section in place of a placeholder that has just that size.
fn map_at(start: NonNull<u8>, len: usize, section: &OwnedHandle, protection: u32) -> Result<(), Failed> {
    let (address, section) = (start.as_ptr().cast(), section.as_raw_handle());
    // SAFETY: the range is ours; there are no parameters.
    let view = unsafe {
        let how = MEM_REPLACE_PLACEHOLDER;
        MapViewOfFile3(section, this_process(), address, 0, len, how, protection, ptr::null_mut(), 0)
    };
    match view.Value.is_null() {
        true => Err(Failed::new("MapViewOfFile3", last_error())),
        false => Ok(()),
    }
}

fn this_process() -> HANDLE {
    // SAFETY: a constant that stands for it.
    unsafe { GetCurrentProcess() }
}

/// A range of mapped addresses, unmapped when it is dropped.
#[derive(Debug)]
pub struct AddressRange {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is only the right to unmap; nothing about that is tied to a thread.
unsafe impl Send for AddressRange {}
// SAFETY: a shared reference lays private pages over the range, which the kernel does for one thread at a time.
unsafe impl Sync for AddressRange {}

impl AddressRange {
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    const fn view(&self) -> MEMORY_MAPPED_VIEW_ADDRESS {
        MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.as_ptr().cast() }
    }

    /// Maps private pages, all zero, over the range. The old mapping ends, and the addresses stay mapped. If there is
    /// no room for the pages, the old mapping stays: other processes may still share its memory, but it does not count
    /// as a holder.
    pub(crate) fn overlay(&self) {
        // Their room is reserved before anything is let go.
        let Ok(private) = section::create_private(self.len) else { return };
        sections::leave(self.start);
        let _bridge = bridge::over(self.start, self.len);
        // SAFETY: a view of ours, as large as its placeholder was.
        if unsafe { UnmapViewOfFile2(this_process(), self.view(), MEM_PRESERVE_PLACEHOLDER) } == 0 {
            return;
        }
        let mapped = map_at(self.start, self.len, &private, PAGE_READWRITE);
        debug_assert!(mapped.is_ok(), "{mapped:?}");
    }
}

impl Drop for AddressRange {
    fn drop(&mut self) {
        sections::leave(self.start);
        // SAFETY: our own view; nobody uses it after the range is dropped.
        unsafe { UnmapViewOfFile(self.view()) };
    }
}
