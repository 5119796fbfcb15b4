//! `shmget`, `shmat`, `shmdt`, `shmctl`.

use libc::{c_int, key_t};
use nix::errno::Errno;
use std::ptr::NonNull;

/// Creates a segment and attaches it.
pub fn create(key: key_t, size: usize) -> (c_int, NonNull<u8>) {
    // SAFETY: shmget takes no pointers.
    let id = Errno::result(unsafe { libc::shmget(key, size, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) });
    let id = id.expect("shmget");
    (id, attach_id(id))
}

/// Looks a segment up and attaches it.
pub fn attach(key: key_t) -> NonNull<u8> {
    // SAFETY: shmget takes no pointers.
    attach_id(Errno::result(unsafe { libc::shmget(key, 0, 0) }).expect("shmget"))
}

fn attach_id(id: c_int) -> NonNull<u8> {
    // SAFETY: the kernel chooses the address.
    let start = unsafe { libc::shmat(id, std::ptr::null(), 0) };
    assert_ne!(start.addr(), usize::MAX, "shmat: {}", Errno::last());
    NonNull::new(start.cast()).expect("never at 0")
}

/// Detaches.
///
/// # Safety
///
/// Nobody uses the memory afterwards.
pub unsafe fn detach(start: NonNull<u8>) {
    // SAFETY: by the caller's promise.
    let result = unsafe { libc::shmdt(start.as_ptr().cast()) };
    assert_eq!(result, 0, "shmdt: {}", Errno::last());
}

/// Removes a segment.
pub fn remove(id: c_int) {
    // SAFETY: IPC_RMID ignores the pointer.
    let result = unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    assert_eq!(result, 0, "shmctl: {}", Errno::last());
}
