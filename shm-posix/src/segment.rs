//! One attachment.

use crate::kernel::{PosixKernel, Sign, is_current, look};
use shm_api::{Access, Detached, Key, LeaveAtEnd, OsError, Segment};
use shm_lifetime::{AddressRange, EntryName, Hold, LockWait, OUTLIVES, shrink};
use std::{mem::ManuallyDrop, num::NonZeroUsize, ptr::NonNull, time::Instant};

/// A POSIX object that is attached: all of it is mapped.
#[derive(Debug)]
pub struct PosixSegment {
    key: Key,
    name: EntryName,
    start: NonNull<u8>,
    size: NonZeroUsize,
    access: Access,
    hold: Hold,
    sign: Sign,
    /// True until the segment is left. After that, dropping this does nothing.
    attached: bool,
}

// SAFETY: a mapping is the process's, not a thread's, and the pointer is only ever handed out.
unsafe impl Send for PosixSegment {}
// SAFETY: as above; what others may write is reached through pointers, atomics and copies.
unsafe impl Sync for PosixSegment {}

impl PosixSegment {
    /// The object that was just mapped.
    pub(crate) fn new(
        key: &Key,
        name: &EntryName,
        (start, size): (NonNull<u8>, NonZeroUsize),
        access: Access,
        hold: Hold,
        sign: Sign,
    ) -> Self {
        Self { key: key.clone(), name: *name, start, size, access, hold, sign, attached: true }
    }

    /// Whether a part of the segment is missing, and this process has touched that part. Either another process has
    /// made the segment smaller, or it was created without reserved room and there was no room for a page. The program
    /// must have called [`survive_shrinking`](crate::survive_shrinking); otherwise SIGBUS ends it at the touch. The
    /// missing part reads as zeros, and writes to it reach no other process. Detach the segment, and attach it again.
    pub fn is_shrunk(&self) -> bool {
        shrink::Mark::of(self.start).is_set()
    }

    fn leave(&self, wait: LockWait, release: impl FnOnce() -> bool) -> Detached {
        let look = || look(&self.name, &self.hold);
        if !self.hold.is_this_process() {
            // A child of a fork: it let go of its copy, and its parent still has its own.
            return if release() { look() } else { OUTLIVES };
        }
        let release = || {
            let released = release();
            if released {
                self.sign.end();
            }
            released
        };
        self.hold.leave::<PosixKernel>(wait, release, look)
    }

    fn unmap(&self) -> Detached {
        self.leave(LockWait::Bounded, || {
            drop(self.range());
            true
        })
    }

    fn let_go(&self, others_leave: &dyn Fn() -> bool, range: &AddressRange) -> Detached {
        let waited = (self.hold.created_here && others_leave()).then(|| {
            let (name, object) = (self.name.as_c_str(), self.hold.object);
            self.sign.let_go_and_wait(name, object, others_leave, || range.overlay().is_ok())
        });
        self.leave(LockWait::Bounded, || {
            // Now that we have the lock, what keeps the others from being the last can go.
            waited.is_some_and(|(let_go, _keeping)| let_go) || range.overlay().is_ok()
        })
    }

    fn range(&self) -> AddressRange {
        // SAFETY: `map` left the mapping to us, and from here on the range is what unmaps it.
        unsafe { AddressRange::new(self.start, self.size) }
    }
}

impl Drop for PosixSegment {
    fn drop(&mut self) {
        if self.attached {
            self.unmap();
        }
    }
}

// SAFETY: the mapping spans the object's size as fstat gave it, at a page boundary. A peer that may write can
// still shrink the object: a touch then ends the process, or finds the zeros of `survive_shrinking`. The overlay keeps
// the addresses.
unsafe impl Segment for PosixSegment {
    type Range = AddressRange;

    fn key(&self) -> &Key {
        &self.key
    }

    fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    fn size(&self) -> NonZeroUsize {
        self.size
    }

    fn access(&self) -> Access {
        self.access
    }

    fn is_current(&self) -> bool {
        is_current(&self.name, &self.hold)
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

impl LeaveAtEnd for PosixSegment {
    unsafe fn leave_at_exit(&self, others_leave: &dyn Fn() -> bool) -> Detached {
        let range = ManuallyDrop::new(self.range()); // the process ends, and its addresses with it
        self.let_go(others_leave, &range)
    }

    unsafe fn leave_in_signal(&self, deadline: Instant) -> Detached {
        let range = ManuallyDrop::new(self.range()); // as above
        self.leave(LockWait::Until(deadline), || range.overlay().is_ok())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Posix;
    use shm_api::{Backend, CreateOptions};

    /// Who waits to be the last has a descriptor of the object. With a lease on it, others would wait for that while
    /// they have the name's lock, and the leaver for the lock.
    #[test]
    fn a_segment_can_be_attached_while_its_creator_is_about_to_leave() {
        let key = Key::name(&format!("shm-posix-leaver-{}", std::process::id())).unwrap();
        let segment = Posix::new().create(&key, &CreateOptions::new(NonZeroUsize::MIN)).unwrap();
        let range = ManuallyDrop::new(segment.range());
        let (name, object) = (segment.name.as_c_str(), segment.hold.object);
        let (let_go, kept) = segment.sign.let_go_and_wait(name, object, &|| true, || range.overlay().is_ok());
        let left = Posix::new().attach(&key).map(Segment::detach);
        drop(kept);
        assert_eq!((let_go, left), (true, Ok(OUTLIVES)));
        assert_eq!(segment.detach(), Detached::Destroyed);
    }
}
