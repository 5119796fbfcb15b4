//! Waiting until the data that a mutex protects has changed.

use crate::protocol::{
    condition::{self, WaitState},
    layout::condition::{SIZE, STRUCTURE},
    mutex::LockWord,
};
use crate::{
    Live, MutexGuard, Owner, Region, Step, SyncError,
    block::{Deadline, block, block_until},
    caller::Caller,
    live, place,
};
use shm_lifetime::shrink::Mark;
use std::time::Duration;

/// A condition variable in shared memory.
///
/// A wait can end without a notification, as with every condition variable, so check again in a loop. Such a wake-up
/// also helps the other waiters if the notified one is killed. Notify while you hold the mutex: then the waiters are
/// woken even if you are killed or panic before you notify. If you lock the mutex by [`lock`](crate::Mutex::lock) and
/// [`MutexGuard::owner_died`] is true, notify all waiters.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    condition: condition::Condition<Region<'a>>,
    caller: Caller,
}

impl<'a> Condition<'a> {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        SIZE as usize
    }

    /// Opens the condition at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If the place is outside the region or misaligned, or the bytes there are something else.
    pub fn open(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let place = place::open(STRUCTURE, region, offset, Self::byte_len(), live, &[])?;
        Ok(Self { condition: condition::Condition::new(place), caller: Caller::thread(live) })
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again. The mutex must have the same live file
    /// as the condition.
    ///
    /// # Errors
    ///
    /// [`SyncError::Forked`] if the guard was locked before a fork, by its parent.
    pub fn wait(&self, guard: MutexGuard<'a>) -> Result<MutexGuard<'a>, SyncError> {
        let mut waiting = self.waiting(guard)?;
        block(|| waiting.step())
    }

    /// As [`wait`](Self::wait), but waits no longer than `timeout` (to lock the mutex again may take longer). Returns
    /// whether the wait ended before time was up.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(
        &self,
        guard: MutexGuard<'a>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a>, bool), SyncError> {
        let mut waiting = self.waiting(guard)?;
        if let Some(guard) = block_until(Deadline::after(timeout), || waiting.step())? {
            return Ok((guard, waiting.notified()));
        }
        waiting.give_up();
        let guard = block(|| waiting.step())?;
        Ok((guard, waiting.notified()))
    }

    /// Begins to wait in steps, for an event loop. It unlocks the mutex now.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); also if the bytes of the mutex were overwritten.
    pub fn waiting(&self, guard: MutexGuard<'a>) -> Result<Waiting<'a>, SyncError> {
        let (mutex, owner) = guard.into_parts()?;
        let state = self.condition.memory.sound_result(self.condition.begin(mutex, owner))?;
        let of_mutex = Mark::of(mutex.place().cast());
        Ok(Waiting { condition: *self, mutex, of_mutex, owner, state, generation: live::generation() })
    }

    /// Wakes one waiter; returns whether one was asleep.
    pub fn notify_one(&self) -> bool {
        self.condition.notify(1) == 1
    }

    /// Wakes all waiters, and returns how many were asleep.
    pub fn notify_all(&self) -> usize {
        self.condition.notify(u32::MAX)
    }
}

/// A wait in progress: see [`Condition::waiting`]. Dropping it leaves the mutex unlocked.
#[derive(Debug)]
pub struct Waiting<'a> {
    condition: Condition<'a>,
    mutex: LockWord<'a, Region<'a>>,
    /// The mutex may lie in another segment.
    of_mutex: &'static Mark,
    owner: Owner,
    state: WaitState,
    generation: u32,
}

impl<'a> Waiting<'a> {
    /// Takes the next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Shrunk`]: the mutex is not locked then. [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, MutexGuard<'a>>, SyncError> {
        live::check_generation(self.generation)?;
        let Condition { condition, caller } = self.condition;
        let step = condition.step(&mut self.state, self.mutex, self.owner, caller);
        // An error drops the guard. Others may have the word of the mutex still: another part may have been cut off.
        let step = step.map(|acquired| MutexGuard::new(self.mutex, self.owner, acquired));
        if self.of_mutex.is_set() { Err(SyncError::Shrunk) } else { condition.memory.sound(step) }
    }

    /// Stops waiting for a notification: the next steps lock the mutex again.
    pub fn give_up(&mut self) {
        // The child of a fork has a copy of its parent's wait, but the parent waits.
        if self.generation == live::generation() {
            self.condition.condition.give_up(&mut self.state);
        }
    }

    /// Whether the wait ended before [`give_up`](Self::give_up).
    pub const fn notified(&self) -> bool {
        self.state.is_notified()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Mutex,
        testing::{Memory, live},
    };
    use std::sync::atomic::Ordering;

    fn open(memory: &Memory) -> (Mutex<'_>, Condition<'_>) {
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        (mutex, Condition::open(memory.region(), 16, live()).unwrap())
    }

    #[test]
    fn a_wait_ends_by_a_notification_with_the_mutex_locked() {
        let memory = Memory::new(64);
        let (mutex, condition) = open(&memory);
        let ready = memory.region().cell(60).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mutex, condition) = open(&memory);
                    let mut guard = mutex.lock().unwrap();
                    while ready.load(Ordering::Relaxed) == 0 {
                        guard = condition.wait(guard).unwrap();
                    }
                    ready.fetch_add(1, Ordering::Relaxed);
                    assert!(mutex.try_lock().unwrap().is_none());
                });
            }
            std::thread::sleep(Duration::from_millis(20));
            let guard = mutex.lock().unwrap();
            ready.store(1, Ordering::Relaxed);
            drop(guard);
            condition.notify_all();
        });
        assert_eq!(ready.load(Ordering::Relaxed), 4);
        assert_eq!(condition.notify_all(), 0);
    }

    #[test]
    fn a_panic_before_the_notification_wakes_the_waiters() {
        let memory = Memory::new(64);
        let (mutex, condition) = open(&memory);
        let waiting = condition.waiting(mutex.lock().unwrap()).unwrap();
        let mut waits = [waiting, condition.waiting(mutex.lock().unwrap()).unwrap()];
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _guard = mutex.lock().unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(panics.join().is_err());
        });
        let guard = block(|| waits[0].step()).unwrap();
        assert!(guard.owner_died() && waits[0].notified());
        drop(guard);
        assert!(!block(|| waits[1].step()).unwrap().owner_died(), "the first was told, and told the second");
    }

    #[test]
    fn a_wait_that_nobody_ends_times_out() {
        let memory = Memory::new(64);
        let (mutex, condition) = open(&memory);
        let guard = mutex.lock().unwrap();
        let (guard, notified) = condition.wait_timeout(guard, Duration::from_millis(25)).unwrap();
        assert!(!notified);
        assert!(mutex.try_lock().unwrap().is_none());
        drop(guard);
        assert!(mutex.try_lock().unwrap().is_some());
        assert!(!condition.notify_one());
    }
}
