//! Mutual exclusion between threads of any process.

use crate::protocol::{
    layout::mutex::{SIZE, STRUCTURE, WORD},
    memory::spin,
    mutex::{Acquired, LockState, LockWord},
};
use crate::{
    Live, Owner, Region, Step, SyncError,
    block::{Deadline, block, block_until},
    caller::Caller,
    live, place,
};
use std::time::Duration;

/// A mutex in shared memory.
///
/// The owner is a thread; any thread of its process may unlock. If the owner's process is killed, a waiter takes the
/// mutex over within 20 ms. Then [`owner_died`](MutexGuard::owner_died) of its guard is true, so that it can repair the
/// protected data. The same happens if a guard is dropped while its thread panics: the mutex is unlocked, and the next
/// owner is told.
///
/// It is not fair: the first waiter does not always get it first. In exchange, a running thread takes a free mutex at
/// once, and need not wait until a sleeper has woken up.
#[derive(Clone, Copy, Debug)]
pub struct Mutex<'a> {
    region: Region<'a>,
    word: LockWord<'a, Region<'a>>,
    caller: Caller,
}

impl<'a> Mutex<'a> {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        SIZE as usize
    }

    /// Opens the mutex at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If the place is outside the region or misaligned, or the bytes there are something else.
    pub fn open(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let place = place::open(STRUCTURE, region, offset, Self::byte_len(), live, &[])?;
        Ok(Self { region: place, word: LockWord::at(place, WORD), caller: Caller::thread(live) })
    }

    /// Returns the same mutex, but with `owner` as the owner of its operations, and not the calling thread. This is for
    /// something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Locks it, and waits until that succeeds.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if this thread holds it already.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        if self.word.try_acquire(owner) {
            return self.region.sound(self.guard(owner, Acquired { owner_died: false }));
        }
        self.lock_slowly(owner)
    }

    #[cold]
    fn lock_slowly(&self, owner: Owner) -> Result<MutexGuard<'a>, SyncError> {
        let mut locking = self.locking(owner);
        locking.check_deadlock()?;
        block(|| locking.step_soon())
    }

    /// Locks it, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<MutexGuard<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        if self.word.try_acquire(owner) {
            return self.region.sound(Some(self.guard(owner, Acquired { owner_died: false })));
        }
        let mut locking = self.locking(owner);
        locking.check_deadlock()?;
        block_until(Deadline::after(timeout), || locking.step_soon())
    }

    /// Locks it if nobody holds it. Returns `None` if this thread holds it.
    ///
    /// # Errors
    ///
    /// If this thread has no owner id yet, and none can be had.
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        let acquired = self.word.attempt(owner, self.caller);
        self.region.sound(acquired.map(|acquired| self.guard(owner, acquired)))
    }

    /// Begins to lock it in steps, for an event loop, on behalf of any owner of this process. If that owner holds the
    /// mutex already, the operation queues.
    pub fn locking(&self, owner: Owner) -> Locking<'a> {
        Locking { mutex: *self, owner, generation: live::generation(), state: LockState::default() }
    }

    /// Returns the guard of a lock that its owner has [kept](MutexGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody holds it, or another owner does.
    pub fn resume(&self) -> Result<MutexGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        self.region.sound_result(self.word.check_held(owner))?;
        Ok(self.guard(owner, Acquired { owner_died: false }))
    }

    /// Unlocks a lock that its owner has [kept](MutexGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody holds it, or another owner does. After [`SyncError::Shrunk`] it is unlocked too.
    pub fn unlock_as_owner(&self) -> Result<(), SyncError> {
        let released = self.word.release(self.caller.owner()?, 1);
        self.region.sound_result(released)
    }

    /// Unlocks it on behalf of the owner in this process whose guard was [kept](MutexGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody holds it, or another process does.
    pub fn unlock(&self) -> Result<(), SyncError> {
        self.region.sound_result(self.word.release_ours(|owner| self.caller.is_ours(owner), 1))
    }

    #[inline]
    fn guard(&self, owner: Owner, acquired: Acquired) -> MutexGuard<'a> {
        MutexGuard::new(self.word, owner, acquired)
    }
}

/// A lock operation in progress: see [`Mutex::locking`]. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Locking<'a> {
    mutex: Mutex<'a>,
    owner: Owner,
    generation: u32,
    state: LockState,
}

impl<'a> Locking<'a> {
    /// Takes the next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Shrunk`]; [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, MutexGuard<'a>>, SyncError> {
        live::check_generation(self.generation)?;
        let Mutex { region, word, caller } = self.mutex;
        let step = word.step(self.owner, &mut self.state, caller);
        region.sound(step.map(|acquired| self.mutex.guard(self.owner, acquired)))
    }

    // The same for a caller that may use its thread: it polls for a while before it sleeps for the first time.
    fn step_soon(&mut self) -> Result<Step<'a, MutexGuard<'a>>, SyncError> {
        let word = self.mutex.word;
        if !self.state.has_waited() && spin(|| word.try_acquire_if_free(self.owner)) {
            let guard = self.mutex.guard(self.owner, Acquired { owner_died: false });
            return self.mutex.region.sound(Step::Ready(guard));
        }
        self.step()
    }

    /// Returns an error if a caller that blocks here would wait for itself. (An event loop may unlock it meanwhile.)
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if the owner holds the mutex already.
    pub fn check_deadlock(&self) -> Result<(), SyncError> {
        let waits = self.mutex.word.owner() == self.owner;
        self.mutex.region.sound_result(if waits { Err(SyncError::Deadlock) } else { Ok(()) })
    }
}

/// The mutex stays locked until this is dropped (any thread may drop it).
#[derive(Debug)]
#[must_use = "dropping it unlocks the mutex"]
pub struct MutexGuard<'a> {
    word: LockWord<'a, Region<'a>>,
    owner: Owner,
    generation: u32,
    owner_died: bool,
}

impl<'a> MutexGuard<'a> {
    /// Whether the previous owner died or panicked while it held the mutex: the protected data may be half-changed.
    pub const fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Whether this guard holds the mutex. It does not in the child of a fork: there the parent holds it.
    pub fn is_held(&self) -> bool {
        self.generation == live::generation()
    }

    /// Unlocks the mutex. Even if the thread is panicking, the next owner is not told. (It is told if the guard is
    /// dropped.) So call it only if the protected data is whole.
    pub fn unlock(self) {
        if let Ok((word, owner)) = self.into_parts() {
            drop(word.release(owner, 1)); // an error as in `drop`
        }
    }

    /// Unlocks the mutex, and tells the next owner that its owner died. Use it if you did not repair what a dead owner
    /// left, or left something half-changed yourself.
    pub fn unlock_as_dead(self) {
        if let Ok((word, owner)) = self.into_parts() {
            drop(word.release_as_dead(owner, 1)); // an error as in `drop`
        }
    }

    /// Keeps the mutex locked until [`Mutex::unlock`].
    pub fn keep(self) {
        std::mem::forget(self);
    }

    #[inline]
    pub(crate) fn new(word: LockWord<'a, Region<'a>>, owner: Owner, acquired: Acquired) -> Self {
        Self { word, owner, generation: live::generation(), owner_died: acquired.owner_died }
    }

    /// Returns the locked word and its owner, so that the caller can release it. An error in a forked child.
    pub(crate) fn into_parts(self) -> Result<(LockWord<'a, Region<'a>>, Owner), SyncError> {
        let (parts, generation) = ((self.word, self.owner), self.generation);
        std::mem::forget(self);
        live::check_generation(generation).map(|()| parts)
    }
}

impl Drop for MutexGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // A fork's child has a copy of its parent's guard, but not the lock.
        if self.generation == live::generation() {
            // An error means that the bytes were overwritten; then there is nothing of ours to unlock.
            drop(if std::thread::panicking() {
                self.word.release_as_dead(self.owner, 1)
            } else {
                self.word.release(self.owner, 1)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Memory, live};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn all_zero_bytes_are_a_fresh_mutex_and_other_bytes_are_an_error() {
        let memory = Memory::new(64);
        Mutex::open(memory.region(), 0, live()).unwrap();
        Mutex::open(memory.region(), 0, live()).unwrap();
        memory.region().cell(16).unwrap().store(0xdead_beef, Ordering::Relaxed);
        let foreign = Mutex::open(memory.region(), 16, live()).unwrap_err();
        assert_eq!(foreign, SyncError::Foreign { what: "mutex", found: 0xdead_beef });
        memory.region().cell(16).unwrap().store(u32::from_le_bytes(*b"syM\x07"), Ordering::Relaxed);
        let version = Mutex::open(memory.region(), 16, live()).unwrap_err();
        assert_eq!(version, SyncError::Version { what: "mutex", found: 7, known: 1 });
        let small = Mutex::open(memory.region(), 56, live()).unwrap_err();
        assert_eq!(small, SyncError::TooSmall { offset: 56, needed: 16, size: 64 });
        let skewed = Mutex::open(memory.region(), 2, live()).unwrap_err();
        assert_eq!(skewed, SyncError::Misaligned { what: "mutex", align: 4 });
        assert_eq!(Mutex::open(memory.read_only(), 0, live()).unwrap_err(), SyncError::ReadOnly);
    }

    #[cfg(unix)]
    #[test]
    fn users_of_another_live_file_are_refused() {
        let memory = Memory::new(64);
        Mutex::open(memory.region(), 0, live()).unwrap();
        let other = Live::over(crate::testing::memfd(0)).unwrap();
        let refused = Mutex::open(memory.region(), 0, other).unwrap_err();
        assert_eq!(refused, SyncError::OtherLiveFile { what: "mutex" });
    }

    #[test]
    fn the_same_thread_gets_an_error_and_not_a_deadlock() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let guard = mutex.lock().unwrap();
        assert_eq!(mutex.lock().unwrap_err(), SyncError::Deadlock);
        assert_eq!(mutex.lock_timeout(Duration::ZERO).unwrap_err(), SyncError::Deadlock);
        assert!(mutex.try_lock().unwrap().is_none());
        drop(guard);
        assert!(mutex.try_lock().unwrap().is_some());
    }

    #[test]
    fn any_thread_of_the_process_may_unlock() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        mutex.lock().unwrap().keep();
        std::thread::scope(|scope| scope.spawn(|| mutex.unlock().unwrap()).join().unwrap());
        let guard = mutex.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(guard));
        });
        assert!(mutex.try_lock().unwrap().is_some());
    }

    #[test]
    fn unlocking_a_free_mutex_or_that_of_another_process_is_an_error() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        assert_eq!(mutex.unlock(), Err(SyncError::NotHeld));
        let stranger = Owner::from_word(Owner::MAX);
        memory.region().cell(8).unwrap().store(stranger.get(), Ordering::Relaxed);
        assert_eq!(mutex.unlock(), Err(SyncError::NotOwner(stranger)));
    }

    #[test]
    fn the_lock_of_a_dead_owner_is_taken_over_and_the_next_owner_is_told() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let word = memory.region().cell(8).unwrap();
        word.store(Owner::MAX - 1, Ordering::Relaxed);
        assert!(mutex.lock().unwrap().owner_died());
        assert!(!mutex.lock().unwrap().owner_died(), "told once");
        word.store(Owner::MAX - 1, Ordering::Relaxed);
        assert!(mutex.try_lock().unwrap().unwrap().owner_died());
    }

    #[test]
    fn the_next_owner_is_told_of_a_panic_under_the_lock() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let panic_with = |guard: MutexGuard<'_>| {
            std::thread::scope(|scope| {
                let panics = scope.spawn(move || {
                    let _guard = guard;
                    std::panic::resume_unwind(Box::new(()));
                });
                assert!(panics.join().is_err());
            });
        };
        panic_with(mutex.lock().unwrap());
        assert!(mutex.lock().unwrap().owner_died());
        assert!(!mutex.lock().unwrap().owner_died(), "told once");
        panic_with(mutex.lock().unwrap());
        assert!(mutex.try_lock().unwrap().unwrap().owner_died());
        panic_with(mutex.lock().unwrap());
        let Step::Ready(guard) = mutex.locking(live().new_owner().unwrap()).step().unwrap() else { panic!() };
        assert!(guard.owner_died());
        guard.unlock_as_dead();
        assert!(mutex.lock().unwrap().owner_died(), "nobody mended it");
    }

    #[test]
    fn unlock_in_a_panic_does_not_report_a_dead_owner() {
        struct Unlocks<'a>(Mutex<'a>);
        impl Drop for Unlocks<'_> {
            fn drop(&mut self) {
                self.0.lock().unwrap().unlock();
            }
        }
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let panics = std::panic::AssertUnwindSafe(|| {
            let _unlocks = Unlocks(mutex);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(!mutex.lock().unwrap().owner_died());
    }

    #[test]
    fn a_retired_owner_releases_what_it_held() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let environment = live().new_owner().unwrap();
        let Step::Ready(guard) = mutex.locking(environment).step().unwrap() else { panic!("it is free") };
        guard.keep();
        assert!(mutex.lock_timeout(Duration::from_millis(30)).unwrap().is_none());
        live().retire(environment);
        assert!(mutex.lock().unwrap().owner_died());
    }

    #[test]
    fn a_lock_of_a_named_owner_does_not_belong_to_the_thread() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let environment = mutex.for_owner(live().new_owner().unwrap());
        environment.lock().unwrap().keep();
        assert_eq!(environment.lock().unwrap_err(), SyncError::Deadlock);
        assert!(mutex.try_lock().unwrap().is_none(), "the thread is another owner");
        assert!(matches!(mutex.resume(), Err(SyncError::NotOwner(_))));
        drop(environment.resume().unwrap());
        assert_eq!(environment.resume().unwrap_err(), SyncError::NotHeld);
        assert!(mutex.try_lock().unwrap().is_some());
    }

    #[test]
    fn only_the_owner_unlocks_as_the_owner() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let environment = mutex.for_owner(live().new_owner().unwrap());
        environment.lock().unwrap().keep();
        assert!(matches!(mutex.unlock_as_owner(), Err(SyncError::NotOwner(_))));
        environment.unlock_as_owner().unwrap();
        assert_eq!(environment.unlock_as_owner(), Err(SyncError::NotHeld));
        assert!(mutex.try_lock().unwrap().is_some());
    }

    #[test]
    fn threads_exclude_each_other() {
        let memory = Memory::new(64);
        let (count, rounds) = (AtomicU32::new(0), 20_000);
        let add = || {
            // Another attachment of the same memory, as another process would have it.
            let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
            for _ in 0..rounds {
                let guard = mutex.lock().unwrap();
                assert!(!guard.owner_died());
                count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(add);
            }
        });
        assert_eq!(count.into_inner(), 4 * rounds);
    }

    #[test]
    fn a_lock_that_stays_taken_times_out() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let _guard = mutex.lock().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(mutex.lock_timeout(Duration::from_millis(25)).unwrap().is_none()));
        });
    }
}
