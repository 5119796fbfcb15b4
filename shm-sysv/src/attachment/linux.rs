//! The kernel counts mappings. So when private pages are mapped over one, it counts as left.

use crate::sys::{self, Id};
use nix::errno::Errno;
use shm_lifetime::AddressRange;
use std::{num::NonZeroUsize, ptr::NonNull};

/// The memory that `shmat` mapped.
#[derive(Debug)]
pub(crate) struct Attachment(NonNull<u8>);

impl Attachment {
    pub(crate) fn of(id: Id, _size: NonZeroUsize) -> Result<Self, Errno> {
        sys::attach(id).map(Self)
    }

    /// Where it begins.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.0
    }

    /// Leaves, and frees the addresses; returns whether it could.
    ///
    /// # Safety
    ///
    /// Nobody uses that memory afterwards, and nothing else is called here again.
    pub(crate) unsafe fn detach(&self, _size: NonZeroUsize) -> bool {
        // SAFETY: by the caller's promise.
        unsafe { sys::detach(self.0) }.is_ok()
    }

    /// Leaves, but keeps the addresses, which `range` will unmap; returns whether it could. Call it once.
    pub(crate) fn let_go(&self, range: &AddressRange) -> bool {
        range.overlay().is_ok()
    }
}
