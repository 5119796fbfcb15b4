//! `shm_open`, `fallocate`, `mmap`, `munmap`, `shm_unlink`.

use nix::{
    fcntl::{FallocateFlags, OFlag, fallocate},
    sys::{
        mman::{MapFlags, ProtFlags, mmap, munmap, shm_open, shm_unlink},
        stat::{Mode, fstat},
    },
};
use std::{ffi::CStr, num::NonZeroUsize, os::fd::OwnedFd, ptr::NonNull};

/// Creates an object, reserves its room and maps it.
pub fn create(name: &CStr, size: NonZeroUsize) -> NonNull<u8> {
    let file =
        shm_open(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, Mode::from_bits_truncate(0o600));
    let file = file.expect("shm_open");
    fallocate(&file, FallocateFlags::empty(), 0, size.get() as i64).expect("fallocate");
    map(&file, size)
}

/// Opens an object and maps as much as it has.
pub fn attach(name: &CStr) -> (NonNull<u8>, NonZeroUsize) {
    let file = shm_open(name, OFlag::O_RDWR, Mode::empty()).expect("shm_open");
    let size = NonZeroUsize::new(fstat(&file).expect("fstat").st_size as usize).expect("not empty");
    (map(&file, size), size)
}

fn map(file: &OwnedFd, size: NonZeroUsize) -> NonNull<u8> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses the address.
    unsafe { mmap(None, size, access, MapFlags::MAP_SHARED, file, 0) }.expect("mmap").cast()
}

/// Unmaps.
///
/// # Safety
///
/// Nobody uses the memory afterwards.
pub unsafe fn detach(start: NonNull<u8>, size: NonZeroUsize) {
    // SAFETY: by the caller's promise.
    unsafe { munmap(start.cast(), size.get()) }.expect("munmap");
}

/// Removes the name.
pub fn remove(name: &CStr) {
    shm_unlink(name).expect("shm_unlink");
}
