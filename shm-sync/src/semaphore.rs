//! A number of permits for threads of any process.

use crate::protocol::{
    layout::semaphore::{MOST, PERMITS, QUEUE, SLOTS, STRUCTURE},
    semaphore::{ClaimState, Claimed, Slots},
};
use crate::{
    Live, Owner, Region, Step, SyncError,
    block::{Deadline, block, block_until},
    caller::Caller,
    live, place,
};
use std::time::Duration;

/// A semaphore in shared memory: a number of permits, set when it is made.
///
/// Each permit records its owner. If a process is killed and another thread waits, that thread gets a permit of the
/// killed process within 20 ms, and is told ([`Permit::owner_died`]). Like the mutex, a semaphore is not fair.
#[derive(Clone, Copy, Debug)]
pub struct Semaphore<'a> {
    slots: Slots<Region<'a>>,
    caller: Caller,
}

impl<'a> Semaphore<'a> {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len(permits: u32) -> usize {
        SLOTS as usize + 4 * permits as usize
    }

    /// Opens the semaphore at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If the place or the number of permits (1 to 65536) is invalid, or the bytes there are something else.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        permits: u32,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        place::check_count("the number of permits", permits, MOST, "1 to 65536")?;
        let choices = [("permits", PERMITS, permits)];
        let place = place::open(STRUCTURE, region, offset, Self::byte_len(permits), live, &choices)?;
        Ok(Self { slots: Slots::new(place, QUEUE, SLOTS, permits), caller: Caller::thread(live) })
    }

    /// Opens the semaphore that exists at `offset`, with any number of permits.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] if there is none; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let permits = place::count(STRUCTURE, region, offset, PERMITS, MOST, live)?;
        Self::open(region, offset, permits, live)
    }

    /// How many permits it was created with.
    pub const fn permits(&self) -> u32 {
        self.slots.count()
    }

    /// Returns the same semaphore, but with `owner` as the owner of its operations, and not the calling thread. This is
    /// for something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Takes a permit, and waits until there is one. A thread may take several.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if this thread has all permits. An error of the live file if this thread has no owner id
    /// yet, and cannot get one.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<'a>, SyncError> {
        let owner = self.caller.owner()?;
        if let Some(slot) = self.slots.claim(owner) {
            return self.slots.memory.sound(self.permit(owner, Claimed { slot, owner_died: false }));
        }
        self.acquire_slowly(owner)
    }

    #[cold]
    fn acquire_slowly(&self, owner: Owner) -> Result<Permit<'a>, SyncError> {
        let mut acquiring = self.acquiring(owner);
        block(|| acquiring.check_deadlock().and_then(|()| acquiring.step()))
    }

    /// Takes a permit, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit<'a>>, SyncError> {
        let mut acquiring = self.acquiring(self.caller.owner()?);
        block_until(Deadline::after(timeout), || acquiring.step())
    }

    /// Takes a permit if there is one; the permit of a dead owner counts as free.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub fn try_acquire(&self) -> Result<Option<Permit<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        let claimed = self.slots.attempt(owner, self.caller);
        self.slots.memory.sound(claimed.map(|claimed| self.permit(owner, claimed)))
    }

    /// Begins to take a permit in steps, for an event loop, on behalf of any owner of this process.
    pub fn acquiring(&self, owner: Owner) -> Acquiring<'a> {
        let (generation, state) = (live::generation(), ClaimState::default());
        Acquiring { semaphore: *self, owner, generation, state }
    }

    /// Returns a permit that its owner has [kept](Permit::keep).
    ///
    /// # Errors
    ///
    /// If nobody has it, or another owner does.
    pub fn resume(&self, slot: u32) -> Result<Permit<'a>, SyncError> {
        let owner = self.caller.owner()?;
        self.slots.memory.sound_result(self.slots.check_held(slot, owner))?;
        Ok(self.permit(owner, Claimed { slot, owner_died: false }))
    }

    /// Releases a permit that its owner has [kept](Permit::keep).
    ///
    /// # Errors
    ///
    /// If nobody has it, or another owner does. After [`SyncError::Shrunk`] it is released too.
    #[inline]
    pub fn release_as_owner(&self, slot: u32) -> Result<(), SyncError> {
        let released = self.slots.release(slot, self.caller.owner()?);
        self.slots.memory.sound_result(released)
    }

    /// Releases a permit of this process that was [kept](Permit::keep), on behalf of its owner.
    ///
    /// # Errors
    ///
    /// If nobody has it, or another process does.
    pub fn release(&self, slot: u32) -> Result<(), SyncError> {
        let released = self.slots.release_ours(slot, |owner| self.caller.is_ours(owner));
        self.slots.memory.sound_result(released)
    }

    #[inline]
    fn permit(&self, owner: Owner, claimed: Claimed) -> Permit<'a> {
        Permit { slots: self.slots, owner, generation: live::generation(), claimed }
    }
}

/// An acquire operation in progress: see [`Semaphore::acquiring`]. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Acquiring<'a> {
    semaphore: Semaphore<'a>,
    owner: Owner,
    generation: u32,
    state: ClaimState,
}

impl<'a> Acquiring<'a> {
    /// Takes the next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Shrunk`]; [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, Permit<'a>>, SyncError> {
        live::check_generation(self.generation)?;
        let Semaphore { slots, caller } = self.semaphore;
        let step = slots.step(self.owner, &mut self.state, caller);
        slots.memory.sound(step.map(|claimed| self.semaphore.permit(self.owner, claimed)))
    }

    /// Returns an error if a caller that blocks here without a time limit would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if the owner has all permits.
    pub fn check_deadlock(&self) -> Result<(), SyncError> {
        let slots = self.semaphore.slots;
        let waits = slots.are_all_of(self.owner);
        slots.memory.sound_result(if waits { Err(SyncError::Deadlock) } else { Ok(()) })
    }
}

/// A permit, held until this is dropped (any thread may drop it).
#[derive(Debug)]
#[must_use = "dropping it gives the permit back"]
pub struct Permit<'a> {
    slots: Slots<Region<'a>>,
    owner: Owner,
    generation: u32,
    claimed: Claimed,
}

impl Permit<'_> {
    /// Whether the previous owner of this permit died while it had the permit.
    pub const fn owner_died(&self) -> bool {
        self.claimed.owner_died
    }

    /// Its number.
    pub const fn slot(&self) -> u32 {
        self.claimed.slot
    }

    /// Keeps the permit until [`Semaphore::release`] is called with the returned number.
    pub fn keep(self) -> u32 {
        let slot = self.claimed.slot;
        std::mem::forget(self);
        slot
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        // A fork's child has a copy of its parent's permit, but not the permit.
        if self.generation == live::generation() {
            // An error means that the bytes were overwritten; then there is nothing of ours to give back.
            drop(self.slots.release(self.claimed.slot, self.owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Memory, live};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_thread_that_has_all_permits_gets_an_error_and_not_a_deadlock() {
        let memory = Memory::new(256);
        let semaphore = Semaphore::open(memory.region(), 0, 3, live()).unwrap();
        let _permits: Vec<_> = (0..3).map(|_| semaphore.acquire().unwrap()).collect();
        assert_eq!(semaphore.acquire().unwrap_err(), SyncError::Deadlock);
        assert!(semaphore.acquire_timeout(Duration::from_millis(5)).unwrap().is_none());
    }

    #[test]
    fn there_are_as_many_permits_as_at_creation() {
        let memory = Memory::new(256);
        let semaphore = Semaphore::open(memory.region(), 0, 3, live()).unwrap();
        let permits: Vec<_> = (0..3).map(|_| semaphore.acquire().unwrap()).collect();
        assert!(semaphore.try_acquire().unwrap().is_none());
        assert!(semaphore.acquire_timeout(Duration::from_millis(15)).unwrap().is_none());
        drop(permits);
        assert!(semaphore.try_acquire().unwrap().is_some());
        assert!(matches!(
            Semaphore::open(memory.region(), 0, 4, live()),
            Err(SyncError::Options { found: 3, wanted: 4, .. })
        ));
        for permits in [0, 65537, u32::MAX] {
            let refused = Semaphore::open(memory.region(), 0, permits, live());
            assert!(matches!(refused, Err(SyncError::OutOfRange { .. })));
        }
    }

    #[test]
    fn no_more_threads_than_permits_are_inside() {
        let memory = Memory::new(256);
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    let semaphore = Semaphore::open(memory.region(), 0, 2, live()).unwrap();
                    for _ in 0..3000 {
                        let _permit = semaphore.acquire().unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
    }

    #[test]
    fn a_permit_of_a_dead_owner_comes_back_and_the_next_owner_is_told() {
        let memory = Memory::new(256);
        let semaphore = Semaphore::open(memory.region(), 0, 1, live()).unwrap();
        let slot = memory.region().cell(SLOTS as usize).unwrap();
        slot.store(Owner::MAX, Ordering::Relaxed);
        assert_eq!(semaphore.release(0), Err(SyncError::NotOwner(Owner::from_word(Owner::MAX))));
        assert!(semaphore.acquire().unwrap().owner_died());
        slot.store(Owner::MAX, Ordering::Relaxed);
        assert!(semaphore.try_acquire().unwrap().unwrap().owner_died());
        assert!(!semaphore.acquire().unwrap().owner_died());
    }

    #[test]
    fn a_semaphore_is_attached_with_its_number_of_permits() {
        let memory = Memory::new(256);
        let attach = || Semaphore::attach(memory.region(), 0, live());
        assert_eq!(attach().unwrap_err(), SyncError::Fresh { what: "semaphore" });
        let semaphore = Semaphore::open(memory.region(), 0, 3, live()).unwrap();
        let permit = semaphore.for_owner(live().new_owner().unwrap()).acquire().unwrap();
        let slot = permit.slot();
        assert_eq!(attach().unwrap().permits(), 3);
        assert_eq!(permit.keep(), slot);
        assert!(matches!(attach().unwrap().resume(slot), Err(SyncError::NotOwner(_))));
        attach().unwrap().release(slot).unwrap();
        for permits in [0, MOST + 1] {
            memory.region().cell(PERMITS as usize).unwrap().store(permits, Ordering::Relaxed);
            assert!(matches!(attach(), Err(SyncError::Damaged { .. })), "{permits}");
        }
        let short = memory.region().at(0, 8).unwrap();
        assert!(matches!(Semaphore::attach(short, 0, live()), Err(SyncError::TooSmall { .. })));
    }

    #[test]
    fn only_the_owner_releases_a_kept_permit_as_the_owner() {
        let memory = Memory::new(256);
        let semaphore = Semaphore::open(memory.region(), 0, 1, live()).unwrap();
        let environment = semaphore.for_owner(live().new_owner().unwrap());
        let slot = environment.acquire().unwrap().keep();
        assert!(matches!(semaphore.release_as_owner(slot), Err(SyncError::NotOwner(_))));
        environment.release_as_owner(slot).unwrap();
        assert_eq!(environment.release_as_owner(slot), Err(SyncError::NotHeld));
        assert_eq!(environment.release_as_owner(1), Err(SyncError::NotHeld));
    }

    #[test]
    fn releasing_a_permit_that_nobody_has_is_an_error() {
        let memory = Memory::new(256);
        let semaphore = Semaphore::open(memory.region(), 0, 1, live()).unwrap();
        let slot = semaphore.acquire().unwrap().keep();
        semaphore.release(slot).unwrap();
        assert_eq!(semaphore.release(slot), Err(SyncError::NotHeld));
        assert_eq!(semaphore.resume(slot).unwrap_err(), SyncError::NotHeld);
        assert_eq!(semaphore.release(1), Err(SyncError::NotHeld));
    }
}
