//! Many readers, or one writer, in threads of any process.

use crate::protocol::{
    layout::rw_lock::{MOST, READERS, SLOTS, STRUCTURE},
    mutex::Acquired,
    rw_lock::{self, Read, ReadState, WriteState},
};
use crate::{
    Live, Owner, Region, Step, SyncError,
    block::{Deadline, block, block_until},
    caller::Caller,
    live, place,
};
use std::time::Duration;

/// A read-write lock in shared memory. How many can read at a time is set when it is made.
///
/// A waiting writer keeps new readers out, so readers cannot starve it. A stream of writers can starve readers.
/// Waiters notice a killed reader or writer within 20 ms. After a writer was killed, all readers are told
/// ([`ReadGuard::owner_died`]) until the next writer has finished; that writer is told too. The same happens if a write
/// guard is dropped while its thread panics: the lock is unlocked, and readers and the next writer are told.
#[derive(Clone, Copy, Debug)]
pub struct RwLock<'a> {
    lock: rw_lock::RwLock<Region<'a>>,
    caller: Caller,
}

impl<'a> RwLock<'a> {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len(readers: u32) -> usize {
        SLOTS as usize + 4 * readers as usize
    }

    /// Opens the lock at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If the place or the number of readers (1 to 65536) is invalid, or the bytes there are something else.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        readers: u32,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        place::check_count("the number of readers", readers, MOST, "1 to 65536")?;
        let choices = [("readers", READERS, readers)];
        let place = place::open(STRUCTURE, region, offset, Self::byte_len(readers), live, &choices)?;
        Ok(Self { lock: rw_lock::RwLock::new(place, readers), caller: Caller::thread(live) })
    }

    /// Opens the lock that exists at `offset`, with any number of readers.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] if there is none; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let readers = place::count(STRUCTURE, region, offset, READERS, MOST, live)?;
        Self::open(region, offset, readers, live)
    }

    /// How many can read at a time.
    pub const fn readers(&self) -> u32 {
        self.lock.readers().count()
    }

    /// Returns the same lock, but with `owner` as the owner of its operations, and not the calling thread. This is for
    /// something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Whether a writer has the lock, or waits for readers to end.
    pub fn is_written(&self) -> bool {
        !self.lock.writer().owner().is_nobody()
    }

    /// Locks it for reading.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if this thread is the writer, or reads already while a writer waits for it, or holds
    /// all slots of readers.
    #[inline]
    pub fn read(&self) -> Result<ReadGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        match self.lock.try_read(owner) {
            Some(read) => self.lock.memory.sound(self.read_guard(owner, read)),
            None => self.read_slowly(owner),
        }
    }

    #[cold]
    fn read_slowly(&self, owner: Owner) -> Result<ReadGuard<'a>, SyncError> {
        let mut reading = self.reading(owner);
        block(|| reading.check_deadlock(true).and_then(|()| reading.step()))
    }

    /// Locks it for reading, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_timeout(&self, timeout: Duration) -> Result<Option<ReadGuard<'a>>, SyncError> {
        let mut reading = self.reading(self.caller.owner()?);
        let step = || reading.check_deadlock(false).and_then(|()| reading.step());
        block_until(Deadline::after(timeout), step)
    }

    /// Locks it for reading if no writer has it or waits for it, and a slot is free.
    ///
    /// # Errors
    ///
    /// If this thread has no owner id yet, and none can be had.
    #[inline]
    pub fn try_read(&self) -> Result<Option<ReadGuard<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        let read = self.lock.attempt_read(owner, self.caller);
        self.lock.memory.sound(read.map(|read| self.read_guard(owner, read)))
    }

    /// Locks it for writing.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if this thread has the lock already, for reading or for writing.
    #[inline]
    pub fn write(&self) -> Result<WriteGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        if self.lock.try_write(owner) {
            return self.lock.memory.sound(self.write_guard(owner, Acquired { owner_died: false }));
        }
        self.write_slowly(owner)
    }

    #[cold]
    fn write_slowly(&self, owner: Owner) -> Result<WriteGuard<'a>, SyncError> {
        let mut writing = self.writing(owner);
        writing.check_deadlock()?;
        block(|| writing.step())
    }

    /// Locks it for writing, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_timeout(&self, timeout: Duration) -> Result<Option<WriteGuard<'a>>, SyncError> {
        let mut writing = self.writing(self.caller.owner()?);
        writing.check_deadlock()?;
        block_until(Deadline::after(timeout), || writing.step())
    }

    /// Locks it for writing if nobody has it.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[inline]
    pub fn try_write(&self) -> Result<Option<WriteGuard<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        let acquired = self.lock.attempt_write(owner, self.caller);
        self.lock.memory.sound(acquired.map(|acquired| self.write_guard(owner, acquired)))
    }

    /// Begins to lock for reading in steps, for an event loop, on behalf of any owner of this process.
    pub fn reading(&self, owner: Owner) -> Reading<'a> {
        Reading { lock: *self, owner, generation: live::generation(), state: ReadState::default() }
    }

    /// Begins to lock for writing in steps, for an event loop, on behalf of any owner of this process.
    pub fn writing(&self, owner: Owner) -> Writing<'a> {
        Writing { lock: *self, owner, generation: live::generation(), state: WriteState::default() }
    }

    /// Returns the guard of a reader that its owner has [kept](ReadGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody has that slot, or another owner has it.
    pub fn resume_read(&self, slot: u32) -> Result<ReadGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        self.lock.memory.sound_result(self.lock.readers().check_held(slot, owner))?;
        Ok(self.read_guard(owner, Read { slot, owner_died: false }))
    }

    /// Returns the guard of the writer that its owner has [kept](WriteGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody writes, or another owner does.
    pub fn resume_write(&self) -> Result<WriteGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        self.lock.memory.sound_result(self.lock.writer().check_held(owner))?;
        Ok(self.write_guard(owner, Acquired { owner_died: false }))
    }

    /// Unlocks for a reader whose guard its owner has [kept](ReadGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody has that slot, or another owner has it. After [`SyncError::Shrunk`] it is unlocked too.
    #[inline]
    pub fn end_read_as_owner(&self, slot: u32) -> Result<(), SyncError> {
        let released = self.lock.readers().release(slot, self.caller.owner()?);
        self.lock.memory.sound_result(released)
    }

    /// Unlocks for the writer whose guard its owner has [kept](WriteGuard::keep).
    ///
    /// # Errors
    ///
    /// If nobody writes, or another owner does. After [`SyncError::Shrunk`] it is unlocked too.
    #[inline]
    pub fn end_write_as_owner(&self) -> Result<(), SyncError> {
        let released = self.lock.writer().release(self.caller.owner()?, u32::MAX);
        self.lock.memory.sound_result(released)
    }

    /// Unlocks for a reader of this process whose guard was [kept](ReadGuard::keep), on behalf of its owner.
    ///
    /// # Errors
    ///
    /// If nobody has that slot, or another process has it.
    pub fn end_read(&self, slot: u32) -> Result<(), SyncError> {
        let released = self.lock.readers().release_ours(slot, |owner| self.caller.is_ours(owner));
        self.lock.memory.sound_result(released)
    }

    /// Unlocks for the writer of this process whose guard was [kept](WriteGuard::keep), on behalf of its owner.
    ///
    /// # Errors
    ///
    /// If nobody writes, or another process does.
    pub fn end_write(&self) -> Result<(), SyncError> {
        self.lock.memory.sound_result(self.lock.end_our_write(|owner| self.caller.is_ours(owner)))
    }

    #[inline]
    fn read_guard(&self, owner: Owner, read: Read) -> ReadGuard<'a> {
        ReadGuard { lock: self.lock, owner, generation: live::generation(), read }
    }

    #[inline]
    fn write_guard(&self, owner: Owner, acquired: Acquired) -> WriteGuard<'a> {
        let generation = live::generation();
        WriteGuard { lock: self.lock, owner, generation, owner_died: acquired.owner_died }
    }
}

/// A read lock operation in progress: see [`RwLock::reading`]. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Reading<'a> {
    lock: RwLock<'a>,
    owner: Owner,
    generation: u32,
    state: ReadState,
}

impl<'a> Reading<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Shrunk`]; [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, ReadGuard<'a>>, SyncError> {
        live::check_generation(self.generation)?;
        let RwLock { lock, caller } = self.lock;
        let step = lock.read_step(self.owner, &mut self.state, caller);
        lock.memory.sound(step.map(|read| self.lock.read_guard(self.owner, read)))
    }

    /// Returns an error if a caller that blocks here, `for_ever` or for some time, would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if the owner is the writer, or reads already while a writer waits for it, or holds
    /// all slots of readers.
    pub fn check_deadlock(&self, for_ever: bool) -> Result<(), SyncError> {
        let waits = self.lock.lock.read_waits_for_itself(self.owner, for_ever);
        self.lock.lock.memory.sound_result(if waits { Err(SyncError::Deadlock) } else { Ok(()) })
    }
}

/// A write lock operation in progress: see [`RwLock::writing`]. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Writing<'a> {
    lock: RwLock<'a>,
    owner: Owner,
    generation: u32,
    state: WriteState,
}

impl<'a> Writing<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Shrunk`]; [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, WriteGuard<'a>>, SyncError> {
        live::check_generation(self.generation)?;
        let RwLock { lock, caller } = self.lock;
        let step = lock.write_step(self.owner, &mut self.state, caller);
        lock.memory.sound(step.map(|acquired| self.lock.write_guard(self.owner, acquired)))
    }

    /// Returns an error if a caller that blocks here would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] if the owner has it already, for reading or for writing.
    pub fn check_deadlock(&self) -> Result<(), SyncError> {
        let waits = self.lock.lock.write_waits_for_itself(self.owner, &self.state);
        self.lock.lock.memory.sound_result(if waits { Err(SyncError::Deadlock) } else { Ok(()) })
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.generation == live::generation() {
            self.lock.lock.stop_writing(self.owner, &mut self.state);
        }
    }
}

/// No thread writes until this is dropped (any thread may drop it).
#[derive(Debug)]
#[must_use = "dropping it ends the reading"]
pub struct ReadGuard<'a> {
    lock: rw_lock::RwLock<Region<'a>>,
    owner: Owner,
    generation: u32,
    read: Read,
}

impl ReadGuard<'_> {
    /// Whether the last writer died or panicked while writing, and no other has written since.
    pub const fn owner_died(&self) -> bool {
        self.read.owner_died
    }

    /// Its number.
    pub const fn slot(&self) -> u32 {
        self.read.slot
    }

    /// Keeps the lock until [`RwLock::end_read`] is called with the returned number.
    pub fn keep(self) -> u32 {
        let slot = self.read.slot;
        std::mem::forget(self);
        slot
    }
}

impl Drop for ReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.generation == live::generation() {
            self.lock.end_read(self.read.slot, self.owner);
        }
    }
}

/// No other thread reads or writes until this is dropped (any thread may drop it).
#[derive(Debug)]
#[must_use = "dropping it ends the writing"]
pub struct WriteGuard<'a> {
    lock: rw_lock::RwLock<Region<'a>>,
    owner: Owner,
    generation: u32,
    owner_died: bool,
}

impl WriteGuard<'_> {
    /// Whether the last writer died or panicked while writing.
    pub const fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Whether this guard holds the lock. It does not in the child of a fork: there the parent holds it.
    pub fn is_held(&self) -> bool {
        self.generation == live::generation()
    }

    /// Unlocks. Even if the thread is panicking, the next owners are not told. (They are told if the guard is dropped.)
    pub fn unlock(self) {
        if self.generation == live::generation() {
            self.lock.end_write(self.owner);
        }
        std::mem::forget(self);
    }

    /// Unlocks, and tells the next owners that the writer died. Use it if you did not repair what a dead writer left,
    /// or left something half-changed yourself.
    pub fn unlock_as_dead(self) {
        if self.generation == live::generation() {
            self.lock.end_write_as_dead(self.owner);
        }
        std::mem::forget(self);
    }

    /// Keeps the lock until [`RwLock::end_write`].
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.generation == live::generation() {
            if std::thread::panicking() {
                self.lock.end_write_as_dead(self.owner);
            } else {
                self.lock.end_write(self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::layout::{
        owner_word::WAITERS,
        rw_lock::{SLOTS, WRITER},
    };
    use crate::testing::{Memory, live};
    use crate::{Outcome, Pause, wait};
    use std::sync::atomic::{AtomicU32, Ordering};

    fn open(memory: &Memory) -> RwLock<'_> {
        RwLock::open(memory.region(), 0, 4, live()).unwrap()
    }

    /// As if a dead owner had locked it for writing.
    fn kill_writer(memory: &Memory) {
        memory.region().cell(WRITER as usize).unwrap().store(Owner::MAX, Ordering::Relaxed);
    }

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let readers: Vec<_> = (0..4).map(|_| lock.read().unwrap()).collect();
        assert!(lock.try_read().unwrap().is_none(), "no slot is left");
        assert!(lock.try_write().unwrap().is_none());
        drop(readers);
        let writer = lock.write().unwrap();
        assert!(lock.try_read().unwrap().is_none());
        assert!(lock.try_write().unwrap().is_none());
        drop(writer);
        assert!(lock.try_read().unwrap().is_some());
        assert!(lock.try_write().unwrap().is_some());
    }

    #[test]
    fn the_same_thread_gets_an_error_and_not_a_deadlock() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let reader = lock.read().unwrap();
        assert_eq!(lock.write().unwrap_err(), SyncError::Deadlock);
        let others: Vec<_> = (1..4).map(|_| lock.read().unwrap()).collect();
        assert_eq!(lock.read().unwrap_err(), SyncError::Deadlock);
        assert!(lock.read_timeout(Duration::from_millis(5)).unwrap().is_none());
        drop((reader, others));
        let _writer = lock.write().unwrap();
        assert_eq!(lock.read().unwrap_err(), SyncError::Deadlock);
        assert_eq!(lock.write().unwrap_err(), SyncError::Deadlock);
    }

    #[test]
    fn owners_are_told_of_a_panic_while_writing_until_the_next_write() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        std::thread::scope(|scope| {
            let panics = scope.spawn(|| {
                let _guard = lock.write().unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(panics.join().is_err());
        });
        assert!(lock.read().unwrap().owner_died());
        assert!(lock.read().unwrap().owner_died(), "each reader is told");
        let writer = lock.write().unwrap();
        assert!(writer.owner_died());
        writer.unlock_as_dead();
        assert!(lock.read().unwrap().owner_died(), "nobody mended it");
        drop(lock.write().unwrap());
        assert!(!lock.read().unwrap().owner_died());
    }

    #[test]
    fn reading_again_while_a_writer_waits_is_an_error() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let reader = lock.read().unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| drop(lock.write().unwrap()));
            // A first try of the writer has its word too, but lets go of it; one that waits flags the reader's slot.
            while lock.lock.readers().slot(reader.slot()).load(Ordering::SeqCst) & WAITERS == 0 {
                std::thread::yield_now();
            }
            assert_eq!(lock.read().unwrap_err(), SyncError::Deadlock);
            drop(reader);
            writer.join().unwrap();
        });
    }

    #[test]
    fn a_writer_that_gives_up_lets_readers_in() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let reader = lock.read().unwrap();
        std::thread::scope(|scope| {
            let writer = || lock.write_timeout(Duration::from_millis(15)).unwrap().is_none();
            assert!(scope.spawn(writer).join().unwrap());
        });
        assert!(lock.try_read().unwrap().is_some());
        drop(reader);
        assert!(lock.try_write().unwrap().is_some());
    }

    #[test]
    fn a_reader_that_gives_up_behind_a_writer_does_not_keep_the_wake_up_of_another() {
        let memory = Memory::new(256);
        let lock = RwLock::open(memory.region(), 0, 1, live()).unwrap();
        let [first, second, third, writer] = [(); 4].map(|()| live().new_owner().unwrap());
        let holder = lock.for_owner(first).read().unwrap();
        std::thread::scope(|scope| {
            // Each sleeps until it is woken. A reader that gets no slot then gives up.
            let sleepers = [second, third].map(|owner| {
                let lock = &lock;
                scope.spawn(move || {
                    let mut reading = lock.reading(owner);
                    let Step::Wait(Pause { cell, expected }) = reading.step().unwrap() else {
                        panic!("no slot is left")
                    };
                    let outcome = wait(cell, expected, Some(Duration::from_secs(60))).unwrap();
                    drop(reading.step().unwrap());
                    outcome
                })
            });
            std::thread::sleep(crate::PATIENCE * 5);
            let mut writing = lock.writing(writer);
            assert!(matches!(writing.step().unwrap(), Step::Wait(_)));
            drop(holder);
            std::thread::sleep(crate::PATIENCE * 5);
            let Step::Ready(written) = writing.step().unwrap() else { panic!("nobody reads") };
            drop(written);
            for sleeper in sleepers {
                assert_ne!(sleeper.join().unwrap(), Outcome::TimedOut);
            }
        });
    }

    #[test]
    fn a_dead_reader_does_not_block_the_writer() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        for slot in 0..4 {
            lock.lock.readers().slot(slot).store(Owner::MAX - slot, Ordering::Relaxed);
        }
        assert!(lock.read_timeout(Duration::from_secs(60)).unwrap().is_some(), "takes a dead one's slot");
        lock.lock.readers().slot(3).store(Owner::MAX, Ordering::Relaxed);
        assert!(!lock.write().unwrap().owner_died(), "readers damage nothing");
        lock.lock.readers().slot(3).store(Owner::MAX, Ordering::Relaxed);
        assert!(lock.try_write().unwrap().is_some());
    }

    #[test]
    fn owners_are_told_of_a_dead_writer_until_the_next_write() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        kill_writer(&memory);
        let reader = lock.read().unwrap();
        assert!(reader.owner_died());
        assert!(lock.read().unwrap().owner_died());
        assert!(lock.try_write().unwrap().is_none());
        assert!(lock.read().unwrap().owner_died(), "still, as nobody could write");
        drop(reader);
        assert!(lock.write().unwrap().owner_died());
        assert!(!lock.write().unwrap().owner_died());
        assert!(!lock.read().unwrap().owner_died());
        kill_writer(&memory);
        assert!(lock.try_read().unwrap().unwrap().owner_died());
    }

    #[test]
    fn a_kept_guard_is_ended_by_its_slot() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let slot = lock.read().unwrap().keep();
        let slot = lock.resume_read(slot).unwrap().keep();
        lock.end_read(slot).unwrap();
        assert_eq!(lock.resume_read(slot).unwrap_err(), SyncError::NotHeld);
        assert_eq!(lock.end_read(slot), Err(SyncError::NotHeld));
        lock.write().unwrap().keep();
        lock.resume_write().unwrap().keep();
        lock.end_write().unwrap();
        assert_eq!(lock.resume_write().unwrap_err(), SyncError::NotHeld);
        assert_eq!(lock.end_write(), Err(SyncError::NotHeld));
    }

    #[test]
    fn only_the_owner_ends_a_kept_guard_as_the_owner() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let environment = lock.for_owner(live().new_owner().unwrap());
        let slot = environment.read().unwrap().keep();
        assert!(matches!(lock.end_read_as_owner(slot), Err(SyncError::NotOwner(_))));
        environment.end_read_as_owner(slot).unwrap();
        assert_eq!(environment.end_read_as_owner(slot), Err(SyncError::NotHeld));
        environment.write().unwrap().keep();
        assert!(matches!(lock.end_write_as_owner(), Err(SyncError::NotOwner(_))));
        environment.end_write_as_owner().unwrap();
        assert_eq!(environment.end_write_as_owner(), Err(SyncError::NotHeld));
        assert!(lock.try_write().unwrap().is_some());
    }

    #[test]
    fn a_writer_that_finds_a_dead_reader_writes_at_once_and_gives_way_to_a_living_one() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        memory.region().cell(SLOTS as usize).unwrap().store(Owner::MAX, Ordering::Relaxed);
        drop(lock.try_write().unwrap().expect("the reader is dead"));
        let reader = lock.read().unwrap();
        assert!(lock.try_write().unwrap().is_none());
        assert!(lock.try_read().unwrap().is_some(), "the word was given back");
        drop(reader);
    }

    #[test]
    fn readers_see_whole_writes() {
        let memory = Memory::new(256);
        let (one, two) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for thread in 0..5 {
                let (memory, one, two) = (&memory, &one, &two);
                scope.spawn(move || {
                    let lock = open(memory);
                    for _ in 0..2000 {
                        if thread < 2 {
                            let _guard = lock.write().unwrap();
                            one.store(one.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                            two.store(two.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        } else {
                            let _guard = lock.read().unwrap();
                            assert_eq!(one.load(Ordering::Relaxed), two.load(Ordering::Relaxed));
                        }
                    }
                });
            }
        });
        assert_eq!(one.into_inner(), 4000);
    }
}
