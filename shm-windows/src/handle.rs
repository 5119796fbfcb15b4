//! The order in which the kernel closes the handles of a dead process.

use std::{
    mem,
    os::windows::io::{AsRawHandle, OwnedHandle},
};

/// The same object by a handle with a higher number than `first`. The kernel closes the handles of a dead process
/// from the lowest on, so that this one goes later. Where there is no room for another handle it stays as it is.
pub(crate) fn closed_after(first: &OwnedHandle, handle: OwnedHandle) -> OwnedHandle {
    let (mut handle, mut low) = (handle, Vec::new());
    while handle.as_raw_handle().addr() < first.as_raw_handle().addr() {
        let Ok(next) = handle.try_clone() else { break };
        low.push(mem::replace(&mut handle, next)); // open meanwhile, so that no number comes twice
    }
    handle
}
