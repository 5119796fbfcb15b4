//! Many readers, or one writer, in threads of any process.

use crate::protocol::{
    cell::Ordering,
    lock_word::{Acquired, DIED},
    rw_word::{Core, ReadState, WriteState},
    slots::{self, Slots},
    stamp::Kind,
    step::{Deadline, drive},
};
use crate::{Live, Owner, Region, Step, SyncError, caller::Caller, live};
use std::time::Duration;

const KIND: Kind = Kind { name: "read-write lock", letter: b'R' };
const READERS: u32 = 8;
const WRITER: u32 = 16;
const QUEUE: u32 = 20;
const SLOTS: u32 = 32;

/// A read-write lock in shared memory. How many can read at a time is set when it is made.
///
/// A writer that waits keeps new readers out, so readers do not starve it; a stream of writers can starve
/// readers. A killed reader or writer is noticed within 20 ms by those who wait. After a killed writer, all
/// readers are told ([`ReadGuard::owner_died`]) until the next writer, who is told too, has been there.
#[derive(Clone, Copy, Debug)]
pub struct RwLock<'a> {
    core: Core<Region<'a>>,
    caller: Caller,
}

impl<'a> RwLock<'a> {
    /// How many bytes it takes; they begin at a multiple of 4.
    pub const fn byte_len(readers: u32) -> usize {
        SLOTS as usize + 4 * readers as usize
    }

    /// The lock at `offset`. All-zero bytes become one.
    ///
    /// # Errors
    ///
    /// Where the place or the number of readers (1 to 65536) is no good, or something else is there.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        readers: u32,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        region.writable()?;
        slots::check("the number of readers", readers)?;
        let region = region.at(offset, Self::byte_len(readers))?;
        region.aligned(KIND.name, 4)?;
        KIND.stamp(region, live.file_id(), &[("a number of readers,", READERS, readers)])?;
        let core = Core::new(region, WRITER, Slots::new(region, QUEUE, SLOTS, readers));
        Ok(Self { core, caller: Caller::thread(live) })
    }

    /// The lock that someone has made at `offset`, for however many.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] where nobody has; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let count = slots::found(KIND, region, offset, READERS, live, slots::MAX)?;
        Self::open(region, offset, count, live)
    }

    /// How many readers it was made for.
    pub const fn readers(&self) -> u32 {
        self.core.readers.count()
    }

    /// The same lock, whose operations are those of `owner` from now on, and not of the thread that calls: for what
    /// acts like a thread, as a JavaScript environment does. The owner comes from [`Live::new_owner`].
    #[must_use]
    pub const fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Locks it for reading.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] where this thread is the writer, or reads already while a writer waits for it, or is
    /// every reader that there can be.
    #[inline]
    pub fn read(&self) -> Result<ReadGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        match self.core.try_read(owner) {
            Some(read) => Ok(self.read_guard(owner, read)),
            None => self.read_slowly(owner, Deadline::Never)?.ok_or(SyncError::NotHeld),
        }
    }

    /// Locks it for reading, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_timeout(&self, timeout: Duration) -> Result<Option<ReadGuard<'a>>, SyncError> {
        self.read_slowly(self.caller.owner()?, Deadline::after(timeout))
    }

    /// Locks it for reading if no writer has it or waits for it, and a slot is free.
    ///
    /// # Errors
    ///
    /// Where this thread has no owner id yet, and none can be had.
    pub fn try_read(&self) -> Result<Option<ReadGuard<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        let read = self.core.try_read(owner).or_else(|| {
            self.bury_the_dead();
            self.core.try_read(owner)
        });
        Ok(read.map(|read| self.read_guard(owner, read)))
    }

    #[cold]
    fn read_slowly(&self, owner: Owner, deadline: Deadline) -> Result<Option<ReadGuard<'a>>, SyncError> {
        let mut reading = self.reading(owner);
        drive(deadline, || {
            reading.check_deadlock(deadline.is_never())?;
            reading.step()
        })
    }

    /// Locks it for writing.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] where this thread has it already, for reading or for writing.
    #[inline]
    pub fn write(&self) -> Result<WriteGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        if self.core.try_write(owner) {
            return Ok(self.write_guard(owner, Acquired { owner_died: false }));
        }
        self.write_slowly(owner, Deadline::Never)?.ok_or(SyncError::NotHeld)
    }

    /// Locks it for writing, or gives up (`None`) when `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_timeout(&self, timeout: Duration) -> Result<Option<WriteGuard<'a>>, SyncError> {
        self.write_slowly(self.caller.owner()?, Deadline::after(timeout))
    }

    /// Locks it for writing if nobody has it.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_write(&self) -> Result<Option<WriteGuard<'a>>, SyncError> {
        let owner = self.caller.owner()?;
        let is_alive = |owner| self.caller.is_alive(owner);
        self.bury_the_dead();
        let Some(acquired) = self.core.writer().attempt(owner, is_alive) else { return Ok(None) };
        let guard = self.write_guard(owner, acquired);
        let mut readers = (0..self.core.readers.count()).map(|slot| self.core.readers.slot(slot));
        if readers.all(|slot| slot.load(Ordering::SeqCst) == 0) {
            return Ok(Some(guard));
        }
        // Nothing was written, so whoever died before us is still to be told of.
        let flags = if acquired.owner_died { DIED } else { 0 };
        drop(guard.give_up(flags));
        Ok(None)
    }

    #[cold]
    fn write_slowly(&self, owner: Owner, deadline: Deadline) -> Result<Option<WriteGuard<'a>>, SyncError> {
        let mut writing = self.writing(owner);
        writing.check_deadlock()?;
        drive(deadline, || writing.step())
    }

    // Who only ever tries would otherwise never find out about them.
    fn bury_the_dead(&self) {
        let is_dead = |word: u32| {
            let owner = Owner::from_bits(word);
            owner.get() != 0 && !self.caller.is_alive(owner)
        };
        let seen = self.core.writer().0.load(Ordering::Relaxed);
        if is_dead(seen) {
            self.core.writer().bury(seen);
        }
        for slot in 0..self.core.readers.count() {
            let seen = self.core.readers.slot(slot).load(Ordering::Relaxed);
            if is_dead(seen) {
                self.core.readers.replace(slot, seen, 0);
            }
        }
    }

    /// Locking for reading in steps, for an event loop, on behalf of any owner of this process.
    pub fn reading(&self, owner: Owner) -> Reading<'a> {
        Reading { lock: *self, owner, state: ReadState::default() }
    }

    /// Locking for writing in steps, for an event loop, on behalf of any owner of this process.
    pub fn writing(&self, owner: Owner) -> Writing<'a> {
        Writing { lock: *self, owner, era: live::era(), state: WriteState::default() }
    }

    /// The guard of a reading that its owner has [kept](ReadGuard::keep).
    ///
    /// # Errors
    ///
    /// Where nobody reads there, or another owner.
    pub fn resume_read(&self, slot: u32) -> Result<ReadGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        self.core.readers.check_held(slot, owner)?;
        Ok(self.read_guard(owner, (slot, false)))
    }

    /// The guard of the writing that its owner has [kept](WriteGuard::keep).
    ///
    /// # Errors
    ///
    /// Where nobody writes, or another owner.
    pub fn resume_write(&self) -> Result<WriteGuard<'a>, SyncError> {
        let owner = self.caller.owner()?;
        self.core.writer().check_held(owner)?;
        Ok(self.write_guard(owner, Acquired { owner_died: false }))
    }

    /// Ends the reading of a guard of this process that was [kept](ReadGuard::keep).
    ///
    /// # Errors
    ///
    /// Where nobody reads there, or another process.
    pub fn end_read(&self, slot: u32) -> Result<(), SyncError> {
        slots::release_ours(&self.core.readers, slot, self.caller.live())
    }

    /// Ends the writing of this process, its guard having been [kept](WriteGuard::keep).
    ///
    /// # Errors
    ///
    /// Where nobody writes, or another process.
    pub fn end_write(&self) -> Result<(), SyncError> {
        self.core.writer().release_ours(self.caller.live(), u32::MAX)
    }

    #[inline]
    fn read_guard(&self, owner: Owner, (slot, owner_died): (u32, bool)) -> ReadGuard<'a> {
        ReadGuard { core: self.core, owner, era: live::era(), slot, owner_died }
    }

    #[inline]
    fn write_guard(&self, owner: Owner, acquired: Acquired) -> WriteGuard<'a> {
        WriteGuard { core: self.core, owner, era: live::era(), owner_died: acquired.owner_died }
    }
}

/// A read lock in the making: see [`RwLock::reading`]. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Reading<'a> {
    lock: RwLock<'a>,
    owner: Owner,
    state: ReadState,
}

impl<'a> Reading<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn step(&mut self) -> Result<Step<'a, ReadGuard<'a>>, SyncError> {
        let RwLock { core, caller } = self.lock;
        let step = core.read_step(self.owner, &mut self.state, |owner| caller.is_alive(owner));
        Ok(step.map(|read| self.lock.read_guard(self.owner, read)))
    }

    /// An error where one who blocks here, `for_ever` or for some time, would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] where the owner is the writer, or reads already while a writer waits for it, or is
    /// every reader that there can be.
    pub fn check_deadlock(&self, for_ever: bool) -> Result<(), SyncError> {
        let RwLock { core, .. } = self.lock;
        let writer = core.writer().owner();
        let waits_for_us = writer.get() != 0 && core.readers.has(self.owner);
        let for_ever = for_ever && core.readers.are_all_of(self.owner);
        if writer == self.owner || waits_for_us || for_ever { Err(SyncError::Deadlock) } else { Ok(()) }
    }
}

/// A write lock in the making: see [`RwLock::writing`]. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Writing<'a> {
    lock: RwLock<'a>,
    owner: Owner,
    era: u32,
    state: WriteState,
}

impl<'a> Writing<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn step(&mut self) -> Result<Step<'a, WriteGuard<'a>>, SyncError> {
        let RwLock { core, caller } = self.lock;
        let step = core.write_step(self.owner, &mut self.state, |owner| caller.is_alive(owner))?;
        Ok(step.map(|acquired| {
            self.state = WriteState::default();
            self.lock.write_guard(self.owner, acquired)
        }))
    }

    /// An error where one who blocks here would wait for itself.
    ///
    /// # Errors
    ///
    /// [`SyncError::Deadlock`] where the owner has it already, for reading or for writing.
    pub fn check_deadlock(&self) -> Result<(), SyncError> {
        let RwLock { core, .. } = self.lock;
        // Once it has the word, it waits for other readers.
        let waits_for_word = self.state.acquired.is_none();
        let has_it = core.writer().owner() == self.owner || core.readers.has(self.owner);
        if waits_for_word && has_it { Err(SyncError::Deadlock) } else { Ok(()) }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // It may have the word already, and wait for readers to leave.
        if let Some(acquired) = self.state.acquired.take() {
            let guard = WriteGuard { era: self.era, ..self.lock.write_guard(self.owner, acquired) };
            // An error means that the bytes were overwritten; then there is nothing of ours to end.
            drop(guard.give_up(if acquired.owner_died { DIED } else { 0 }));
        }
    }
}

/// Nobody writes until this is dropped, in whichever thread.
#[derive(Debug)]
#[must_use = "dropping it ends the reading"]
pub struct ReadGuard<'a> {
    core: Core<Region<'a>>,
    owner: Owner,
    era: u32,
    slot: u32,
    owner_died: bool,
}

impl ReadGuard<'_> {
    /// Whether the last writer died while writing, and no other has been there since.
    pub const fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Its number.
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Keeps reading until [`RwLock::end_read`] of the number returned.
    pub fn keep(self) -> u32 {
        let slot = self.slot;
        std::mem::forget(self);
        slot
    }
}

impl Drop for ReadGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.era == live::era() {
            self.core.end_read(self.slot, self.owner);
        }
    }
}

/// Nobody else reads or writes until this is dropped, in whichever thread.
#[derive(Debug)]
#[must_use = "dropping it ends the writing"]
pub struct WriteGuard<'a> {
    core: Core<Region<'a>>,
    owner: Owner,
    era: u32,
    owner_died: bool,
}

impl WriteGuard<'_> {
    /// Whether the last writer died while writing.
    pub const fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Keeps writing until [`RwLock::end_write`].
    pub fn keep(self) {
        std::mem::forget(self);
    }

    fn give_up(self, flags: u32) -> Result<(), SyncError> {
        let ours = self.era == live::era();
        let (word, owner) = (self.core.writer(), self.owner);
        std::mem::forget(self);
        if ours { word.release_to(owner, flags, u32::MAX) } else { Ok(()) }
    }
}

impl Drop for WriteGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.era == live::era() {
            self.core.end_write(self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::lock_word::WAITERS;
    use crate::testing::{Memory, live};
    use std::sync::atomic::AtomicU32;

    fn open(memory: &Memory) -> RwLock<'_> {
        RwLock::open(memory.region(), 0, 4, live()).unwrap()
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
    fn reading_again_while_a_writer_waits_is_an_error() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        let reader = lock.read().unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| drop(lock.write().unwrap()));
            // A first try of the writer has its word too, but lets go of it; one that waits flags the reader's slot.
            while lock.core.readers.slot(reader.slot).load(Ordering::SeqCst) & WAITERS == 0 {
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
    fn a_dead_reader_does_not_hold_up_the_writer() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        for slot in 0..4 {
            lock.core.readers.slot(slot).store(Owner::MAX - slot, Ordering::Relaxed);
        }
        assert!(lock.read_timeout(Duration::from_secs(5)).unwrap().is_some(), "takes a dead one's slot");
        lock.core.readers.slot(3).store(Owner::MAX, Ordering::Relaxed);
        assert!(!lock.write().unwrap().owner_died(), "readers damage nothing");
        lock.core.readers.slot(3).store(Owner::MAX, Ordering::Relaxed);
        assert!(lock.try_write().unwrap().is_some());
    }

    #[test]
    fn a_dead_writer_is_told_of_until_the_next_one_has_been_there() {
        let memory = Memory::new(256);
        let lock = open(&memory);
        lock.core.writer().0.store(Owner::MAX, Ordering::Relaxed);
        let reader = lock.read().unwrap();
        assert!(reader.owner_died());
        assert!(lock.read().unwrap().owner_died());
        assert!(lock.try_write().unwrap().is_none());
        assert!(lock.read().unwrap().owner_died(), "still, as nobody could write");
        drop(reader);
        assert!(lock.write().unwrap().owner_died());
        assert!(!lock.write().unwrap().owner_died());
        assert!(!lock.read().unwrap().owner_died());
        lock.core.writer().0.store(Owner::MAX, Ordering::Relaxed);
        assert!(lock.try_read().unwrap().unwrap().owner_died());
    }

    #[test]
    fn what_was_kept_is_ended_by_its_number() {
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
    fn readers_see_all_of_a_write_or_nothing() {
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
