//! One attachment.

use crate::{
    companion::Companion,
    lock::Lock,
    range::{AddressRange, PAGE},
    section,
};
use shm_api::{Access, Detached, Key, LeaveAtEnd, OsError, Segment};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    os::windows::io::OwnedHandle,
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How often to look whether the others have left.
const LOOK: Duration = Duration::from_micros(300);

/// How long a detach waits for the lock. Without it the segment is left all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// What makes this process a holder: a handle, which the kernel counts.
#[derive(Debug)]
pub(crate) struct Hold {
    section: OwnedHandle,
    /// `None` for a section that this library did not make.
    ours: Option<Place>,
    created_here: bool,
}

/// Where a segment of this library stands among those of its key.
#[derive(Debug)]
struct Place {
    lock: Lock,
    companion: Companion,
    number: NonZeroU32,
}

impl Hold {
    pub(crate) fn of_ours(
        section: OwnedHandle,
        lock: Lock,
        companion: Companion,
        number: NonZeroU32,
        created_here: bool,
    ) -> Self {
        let (lock, companion) = (lock.closed_after(&section), companion.closed_after(&section));
        Self { section, ours: Some(Place { lock, companion, number }), created_here }
    }

    pub(crate) const fn of_foreign(section: OwnedHandle) -> Self {
        Self { section, ours: None, created_here: false }
    }

    fn is_current(&self) -> bool {
        // The name of another program's section goes with its last handle, and we have one.
        self.ours.as_ref().is_none_or(|place| place.companion.current_number() == Some(place.number))
    }

    fn others(&self) -> usize {
        // Where the kernel does not tell, somebody may have it.
        section::other_handles(&self.section).unwrap_or(1)
    }

    /// Closes the handle, and says what became of the segment.
    fn leave(self, deadline: Instant) -> Detached {
        let guard = self.ours.as_ref().and_then(|place| place.lock.take_until(deadline).ok());
        let (is_current, others) = (self.is_current(), self.others());
        drop(self.section);
        let detached = match NonZeroUsize::new(others) {
            _ if !is_current => Detached::Gone,
            Some(others) => Detached::Outlives(others),
            None => Detached::Destroyed,
        };
        if let (Detached::Destroyed, Some(_), Some(place)) = (detached, &guard, &self.ours) {
            place.companion.clear();
        }
        detached
    }
}

/// A section, mapped whole.
#[derive(Debug)]
pub struct WindowsSegment {
    key: Key,
    start: NonNull<u8>,
    size: NonZeroUsize,
    access: Access,
    /// `None` once it was left.
    hold: Mutex<Option<Hold>>,
    /// Dropped after the handle.
    range: Option<AddressRange>,
}

// SAFETY: a view is the process's, not a thread's, and the pointer is only ever handed out.
unsafe impl Send for WindowsSegment {}
// SAFETY: as above; what others may write is reached through pointers, atomics and copies.
unsafe impl Sync for WindowsSegment {}

impl WindowsSegment {
    pub(crate) fn new(
        key: &Key,
        size: NonZeroUsize,
        access: Access,
        range: AddressRange,
        hold: Hold,
    ) -> Self {
        let start = range.start();
        Self { key: key.clone(), start, size, access, hold: Mutex::new(Some(hold)), range: Some(range) }
    }

    fn hold(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves once; a segment that was left before is gone for this holder.
    fn leave(&self, deadline: Instant) -> Detached {
        let hold = self.hold().take();
        hold.map_or(Detached::Gone, |hold| hold.leave(deadline))
    }

    fn let_go(&self, others_leave: &dyn Fn() -> bool) -> Detached {
        if let Some(range) = &self.range {
            range.overlay();
        }
        let are_others = || {
            let hold = self.hold();
            hold.as_ref().is_some_and(|hold| hold.created_here && hold.is_current() && hold.others() > 0)
        };
        while are_others() && others_leave() {
            thread::sleep(LOOK);
        }
        self.leave(Instant::now() + PATIENCE)
    }
}

impl Drop for WindowsSegment {
    fn drop(&mut self) {
        self.leave(Instant::now() + PATIENCE);
    }
}

// SAFETY: the view spans the section, which no process can make smaller, at a page boundary; the overlay keeps the
// addresses.
unsafe impl Segment for WindowsSegment {
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
        self.hold().as_ref().is_some_and(Hold::is_current)
    }

    /// A read is enough: the room of a page is reserved already, and the pages are shared, so that a read gets the page
    /// that a later write needs.
    fn populate(&self) -> Result<(), OsError> {
        for offset in (0..self.size.get()).step_by(PAGE) {
            // SAFETY: inside the segment.
            let byte = unsafe { self.start.add(offset) };
            // SAFETY: as above.
            unsafe { byte.read_volatile() };
        }
        Ok(())
    }

    fn detach(self) -> Detached {
        self.leave(Instant::now() + PATIENCE)
    }

    fn let_go_in_place(mut self, others_leave: &dyn Fn() -> bool) -> (Detached, AddressRange) {
        let detached = self.let_go(others_leave);
        (detached, self.range.take().expect("only this takes it, and then the segment is gone"))
    }
}

impl LeaveAtEnd for WindowsSegment {
    unsafe fn leave_at_exit(&self, others_leave: &dyn Fn() -> bool) -> Detached {
        self.let_go(others_leave)
    }

    /// Windows has no signal handlers: what it calls so runs on a thread of its own.
    unsafe fn leave_in_signal(&self, deadline: Instant) -> Detached {
        if let Some(range) = &self.range {
            range.overlay();
        }
        self.leave(deadline)
    }
}
