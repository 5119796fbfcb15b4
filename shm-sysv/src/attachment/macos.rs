//! The kernel counts calls of `shmat` and `shmdt`, not mappings. An attachment still counts when pages are mapped over
//! it, and `shmdt` frees the addresses, so that another thread may map something there at once. So the memory is mapped
//! a second time, at other addresses, and the second mapping is the one that is used. To let go in place, private pages
//! are mapped over the second mapping, in one step. Then the first mapping, which nobody uses, is detached.

use crate::sys::{self, Id};
use mach2::{
    kern_return::KERN_SUCCESS, traps::mach_task_self, vm::mach_vm_remap, vm_inherit::VM_INHERIT_SHARE,
    vm_prot::VM_PROT_NONE, vm_statistics::VM_FLAGS_ANYWHERE,
};
use nix::errno::Errno;
use shm_lifetime::AddressRange;
use std::{num::NonZeroUsize, ptr::NonNull};

/// The memory that `shmat` mapped, and the second mapping of it.
#[derive(Debug)]
pub(crate) struct Attachment {
    counted: NonNull<u8>,
    used: NonNull<u8>,
}

impl Attachment {
    pub(crate) fn of(id: Id, size: NonZeroUsize) -> Result<Self, Errno> {
        let counted = sys::attach(id)?;
        let used = map_again(counted, size).inspect_err(|_| {
            // SAFETY: just attached, and nobody has its address.
            let _ = unsafe { sys::detach(counted) };
        })?;
        Ok(Self { counted, used })
    }

    /// Where the mapping that is used begins.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.used
    }

    /// Leaves, and frees the addresses; returns whether it could.
    ///
    /// # Safety
    ///
    /// Nobody uses that memory afterwards, and nothing else is called here again.
    pub(crate) unsafe fn detach(&self, size: NonZeroUsize) -> bool {
        // SAFETY: `map_again` mapped it for us, and by the caller's promise nobody uses it.
        drop(unsafe { AddressRange::new(self.used, size) });
        self.uncount()
    }

    /// Leaves, but keeps the addresses, which `range` will unmap; returns whether it could. Call it once.
    pub(crate) fn let_go(&self, range: &AddressRange) -> bool {
        range.overlay().is_ok() && self.uncount()
    }

    fn uncount(&self) -> bool {
        // SAFETY: nobody but us has its address, and both callers call this once.
        unsafe { sys::detach(self.counted) }.is_ok()
    }
}

/// Maps the same memory at another address: shared, not copied, and with the same protection.
fn map_again(start: NonNull<u8>, size: NonZeroUsize) -> Result<NonNull<u8>, Errno> {
    // SAFETY: it reads a variable that the C library sets before our code runs.
    let this = unsafe { mach_task_self() };
    let mut address = 0;
    let (mut protection, mut most) = (VM_PROT_NONE, VM_PROT_NONE);
    // SAFETY: without an address of ours it is mapped where nothing is; the source is our own mapping.
    let done = unsafe {
        mach_vm_remap(
            this,
            &raw mut address,
            size.get() as u64,
            0,
            VM_FLAGS_ANYWHERE,
            this,
            start.addr().get() as u64,
            0,
            &raw mut protection,
            &raw mut most,
            VM_INHERIT_SHARE,
        )
    };
    if done != KERN_SUCCESS {
        return Err(Errno::ENOMEM);
    }
    NonNull::new(std::ptr::with_exposed_provenance_mut(address as usize)).ok_or(Errno::ENOMEM)
}
