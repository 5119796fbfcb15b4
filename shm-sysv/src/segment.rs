//! One attachment.

use crate::{
    attachment::Attachment,
    kernel::{SysVKernel, look},
    limits,
    sys::{self, Id},
};
use shm_api::{Access, Detached, Key, LeaveAtEnd, OsError, Segment};
use shm_lifetime::{AddressRange, Hold, LockWait, OUTLIVES};
use std::{
    mem::ManuallyDrop,
    num::{NonZeroU32, NonZeroUsize},
    ptr::NonNull,
    thread,
    time::{Duration, Instant},
};

/// A System V segment, attached.
#[derive(Debug)]
pub struct SysVSegment {
    key: Key,
    number: NonZeroU32,
    attachment: Attachment,
    size: NonZeroUsize,
    hold: Hold,
    /// The kernel itself destroys it with its last attachment (`kernel.shm_rmid_forced`).
    kernel_destroys: bool,
    /// True until the segment is left. After that, dropping this does nothing.
    attached: bool,
}

// SAFETY: a mapping is the process's, not a thread's, and the pointer is only ever handed out.
unsafe impl Send for SysVSegment {}
// SAFETY: as above; what others may write is reached through pointers, atomics and copies.
unsafe impl Sync for SysVSegment {}

impl SysVSegment {
    /// The segment that was just attached.
    pub(crate) fn new(
        key: &Key,
        number: NonZeroU32,
        attachment: Attachment,
        size: NonZeroUsize,
        hold: Hold,
    ) -> Self {
        let kernel_destroys = limits::kernel_destroys();
        Self { key: key.clone(), number, attachment, size, hold, kernel_destroys, attached: true }
    }

    fn object(&self) -> Id {
        Id(self.hold.object.number as i32)
    }

    fn leave(&self, wait: LockWait, release: impl FnOnce() -> bool) -> Detached {
        let look = || look(self.object(), self.number.get());
        if !self.hold.is_this_process() {
            // A child of a fork: it let go of its copy, and its parent's attachment is counted.
            return if release() { look() } else { OUTLIVES };
        }
        let was_there = self.kernel_destroys && self.is_there();
        match self.hold.leave::<SysVKernel>(wait, release, look) {
            Detached::Gone if was_there => Detached::Destroyed,
            left => left,
        }
    }

    /// Whether it has not been destroyed.
    fn is_there(&self) -> bool {
        sys::stat(self.object()).is_ok_and(|stat| !stat.destroyed())
    }

    fn unmap(&self) -> Detached {
        self.leave(LockWait::Bounded, || {
            // SAFETY: called by `detach` and `drop` only, which end the segment.
            unsafe { self.attachment.detach(self.size) }
        })
    }

    fn range(&self) -> AddressRange {
        // SAFETY: the attachment is ours, and from here on the range is what unmaps it.
        unsafe { AddressRange::new(self.as_ptr(), self.size) }
    }

    fn let_go(&self, others_leave: &dyn Fn() -> bool, range: &AddressRange) -> Detached {
        if self.hold.created_here {
            self.wait_for_others(others_leave);
        }
        self.leave(LockWait::Bounded, || self.attachment.let_go(range))
    }

    /// Waits until ours is the only attachment, or there is nothing to wait for.
    fn wait_for_others(&self, others_leave: &dyn Fn() -> bool) {
        while others_leave() && sys::stat(self.object()).is_ok_and(|stat| stat.holders() > 1) {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for SysVSegment {
    fn drop(&mut self) {
        if self.attached {
            self.unmap();
        }
    }
}

// SAFETY: shmat(2) maps the whole segment, readable and writable, at a page boundary; a System V segment cannot
// shrink. The overlay keeps the same addresses.
unsafe impl Segment for SysVSegment {
    type Range = AddressRange;

    fn key(&self) -> &Key {
        &self.key
    }

    fn as_ptr(&self) -> NonNull<u8> {
        self.attachment.start()
    }

    fn size(&self) -> NonZeroUsize {
        self.size
    }

    fn access(&self) -> Access {
        Access::ReadWrite
    }

    fn is_current(&self) -> bool {
        sys::find(self.number) == Ok(self.object())
    }

    fn populate(&self) -> Result<(), OsError> {
        // SAFETY: our own mapping, which stays as long as `self`.
        unsafe { shm_lifetime::populate(self.as_ptr(), self.size, self.access()) }
            .map_err(|error| error.on(&self.key))
    }

    fn detach(mut self) -> Detached {
        self.attached = false;
        self.unmap()
    }

    fn let_go_in_place(mut self, others_leave: &dyn Fn() -> bool) -> (Detached, AddressRange) {
        self.attached = false;
        let range = self.range();
        (self.let_go(others_leave, &range), range)
    }
}

impl LeaveAtEnd for SysVSegment {
    unsafe fn leave_at_exit(&self, others_leave: &dyn Fn() -> bool) -> Detached {
        let range = ManuallyDrop::new(self.range()); // the process ends, and its addresses with it
        self.let_go(others_leave, &range)
    }

    unsafe fn leave_in_signal(&self, deadline: Instant) -> Detached {
        let range = ManuallyDrop::new(self.range()); // as above
        self.leave(LockWait::Until(deadline), || self.attachment.let_go(&range))
    }
}
