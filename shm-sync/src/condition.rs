//! Waiting for what a mutex protects to change.

use crate::protocol::{
    cell::{AtomicU32, Ordering, Words},
    futex,
    lock_word::{LockWord, Queue},
    stamp::Kind,
    step::{Deadline, Patience, Pause, drive},
};
use crate::{Live, MutexGuard, Owner, Region, Step, SyncError, live, storm::may_die_here};
use std::time::Duration;

const KIND: Kind = Kind { name: "condition", letter: b'V' };
const SEQUENCE: u32 = 8;
const WAITERS: u32 = 12;
const BYTE_LEN: usize = 16;

/// A condition variable in shared memory.
///
/// A wait may end though nobody notified, as with every condition variable, so look again in a loop. Here
/// that is also what saves the others when the one that was notified is killed. Notify while you hold the mutex: if you
/// are killed before you do, those who wait are woken. Whoever locks the mutex otherwise and is told of a death
/// ([`MutexGuard::owner_died`]) notifies all too.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    region: Region<'a>,
    live: &'static Live,
}

impl<'a> Condition<'a> {
    /// How many bytes it takes; they begin at a multiple of 4.
    pub const fn byte_len() -> usize {
        BYTE_LEN
    }

    /// The condition at `offset`. All-zero bytes become one.
    ///
    /// # Errors
    ///
    /// Where the place is no good, or something else is there.
    pub fn open(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        region.writable()?;
        let region = region.at(offset, BYTE_LEN)?;
        region.aligned(KIND.name, 4)?;
        KIND.stamp(region, live.file_id(), &[])?;
        Ok(Self { region, live })
    }

    fn sequence(&self) -> &'a AtomicU32 {
        self.region.word(SEQUENCE)
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again. The mutex has to be one of the
    /// same live file.
    ///
    /// # Errors
    ///
    /// Where the guard was locked before a fork, by its parent.
    pub fn wait(&self, guard: MutexGuard<'a>) -> Result<MutexGuard<'a>, SyncError> {
        let mut waiting = self.waiting(guard)?;
        drive(Deadline::Never, || waiting.step())?.ok_or(SyncError::NotHeld)
    }

    /// The same, but waits no longer than `timeout` (to lock the mutex again may take longer). Tells whether
    /// it ended before time was up.
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
        if let Some(guard) = drive(Deadline::after(timeout), || waiting.step())? {
            return Ok((guard, waiting.notified));
        }
        waiting.give_up();
        let guard = drive(Deadline::Never, || waiting.step())?.ok_or(SyncError::NotHeld)?;
        Ok((guard, waiting.notified))
    }

    /// Waiting in steps, for an event loop. It unlocks the mutex now.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn waiting(&self, guard: MutexGuard<'a>) -> Result<Waiting<'a>, SyncError> {
        let (word, owner) = guard.parts().ok_or(SyncError::NotHeld)?;
        self.region.word(WAITERS).fetch_add(1, Ordering::SeqCst);
        may_die_here!();
        let seen = self.sequence().load(Ordering::SeqCst);
        drop(guard);
        let queue = Queue::default();
        Ok(Waiting {
            condition: *self,
            word,
            owner,
            seen,
            sleeps: true,
            notified: false,
            patience: Patience::default(),
            queue,
            era: live::era(),
        })
    }

    /// Wakes one of those who wait; tells whether one slept.
    pub fn notify_one(&self) -> bool {
        self.notify(1) == 1
    }

    /// Wakes all who wait, and returns how many slept.
    pub fn notify_all(&self) -> usize {
        self.notify(u32::MAX)
    }

    fn notify(&self, count: u32) -> usize {
        may_die_here!();
        self.sequence().fetch_add(1, Ordering::SeqCst);
        may_die_here!();
        if self.region.word(WAITERS).load(Ordering::SeqCst) == 0 {
            return 0;
        }
        futex::wake(self.sequence(), count)
    }
}

/// A wait under way: see [`Condition::waiting`]. Dropping it leaves the mutex unlocked.
#[derive(Debug)]
pub struct Waiting<'a> {
    condition: Condition<'a>,
    word: LockWord<'a>,
    owner: Owner,
    seen: u32,
    sleeps: bool,
    notified: bool,
    patience: Patience,
    queue: Queue,
    era: u32,
}

impl<'a> Waiting<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn step(&mut self) -> Result<Step<'a, MutexGuard<'a>>, SyncError> {
        if self.sleeps {
            let cell = self.condition.sequence();
            if cell.load(Ordering::SeqCst) == self.seen && !self.is_mutex_left_behind() {
                return Ok(Step::Wait(Pause { cell, expected: self.seen }));
            }
            self.notified = true;
            self.give_up();
        }
        let live = self.condition.live;
        let step = self.word.step(self.owner, &mut self.queue, |owner| live.is_alive(owner));
        Ok(step.map(|acquired| {
            if acquired.owner_died {
                // The others do not see a dead owner any more, and what it was about to tell may be for them.
                self.condition.notify_all();
            }
            MutexGuard::new(self.word, self.owner, acquired)
        }))
    }

    /// Whether the mutex's owner is dead: it may have been about to notify.
    fn is_mutex_left_behind(&mut self) -> bool {
        if !self.patience.is_over() {
            return false;
        }
        let holder = self.word.owner();
        holder.get() != 0 && !self.condition.live.is_alive(holder)
    }

    /// No longer waits for a notification: the next steps lock the mutex again.
    pub fn give_up(&mut self) {
        if std::mem::take(&mut self.sleeps) {
            self.condition.region.word(WAITERS).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether it was over before [`give_up`](Self::give_up).
    pub const fn notified(&self) -> bool {
        self.notified
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.era == live::era() {
            self.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Mutex,
        testing::{Memory, live},
    };

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
