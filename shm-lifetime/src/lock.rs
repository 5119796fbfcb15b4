//! One lock per name, across threads and processes.
//!
//! Two locks in turn: a flag of this process, then an open file description lock on one byte of a lock file.
//! fcntl(2): "open file description locks placed via the same open file description […] are compatible", so
//! they do not exclude our own threads; the flag does. The kernel drops the byte lock of a process that dies.
//!
//! Both are polled. A mutex with a queue of waiters would not be better (contention is rare, and a wait ends after a
//! second), and a signal handler could not use the queue safely.
//!
//! A thread holds one name at a time, so no order has to be kept. If two names share a byte, they only wait for each
//! other. Every wait has an end: a stopped process must not stall the others.

use crate::{
    Check, Class, Home,
    descriptor::Descriptor,
    ofd_lock::{self, LockKind},
    skips,
};
use nix::errno::Errno;
use shm_api::OsError;
use std::{
    array,
    cell::Cell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread,
    time::{Duration, Instant},
};

const SHARDS: usize = 64;

/// The lock file of a segment: of its class, in its owner's folder.
///
/// Our own processes lock a name in the file `lock`, which no other user can open. If other users may open the segment,
/// they then lock it in the file of its class as well. So no other user can keep us from writing the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockFile {
    /// The owner of the segment.
    pub uid: u32,
    /// The users who may open it.
    pub class: Class,
}

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug)]
pub enum LockWait {
    /// A second, or the rest of a second: see [`within_a_second`].
    Bounded,
    /// Not at all.
    Try,
    /// Until then.
    Until(Instant),
}

/// A process that holds a lock longer is stopped, stuck or hostile.
const BOUND: Duration = Duration::from_secs(1);

thread_local! {
    /// How long this thread may still wait in the call that it is in.
    static LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs a call that takes many locks. It waits a second for all of them together, and not a second for each.
pub fn within_a_second<T>(call: impl FnOnce() -> T) -> T {
    struct Outer(Option<Duration>);
    impl Drop for Outer {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let outer = Outer(LEFT.get());
    LEFT.set(Some(outer.0.unwrap_or(BOUND)));
    call()
}

/// One wait for one lock.
struct Wait {
    limit: LockWait,
    began: Option<Instant>,
}

impl Wait {
    /// Whether to try again. (In a signal handler nothing but the clock is asked.)
    fn goes_on(&mut self) -> bool {
        match self.limit {
            LockWait::Try => false,
            LockWait::Until(end) => Instant::now() < end,
            LockWait::Bounded => {
                let now = Instant::now();
                now - *self.began.get_or_insert(now) < LEFT.get().unwrap_or(BOUND)
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(began) = self.began
            && let Some(left) = LEFT.get()
        {
            LEFT.set(Some(left.saturating_sub(began.elapsed())));
        }
    }
}

/// The lock files of one user, and the flags that are set before a byte is locked.
#[derive(Debug)]
pub(crate) struct Locks {
    uid: u32,
    own: Descriptor,
    classes: OnceLock<Box<ClassFile>>,
    shards: [AtomicBool; SHARDS],
}

/// The lock file of a class with other users. The list of these files only grows, so a signal handler may read it.
#[derive(Debug)]
struct ClassFile {
    class: Class,
    file: Descriptor,
    next: OnceLock<Box<ClassFile>>,
}

impl Locks {
    pub(crate) fn open(home: &Home, uid: u32) -> Result<Self, OsError> {
        let own = Descriptor::new(home.file(&Class::Owner.file_name(KIND), Some(Class::Owner))?)?;
        Ok(Self { uid, own, classes: OnceLock::new(), shards: array::from_fn(|_| AtomicBool::new(false)) })
    }

    /// Whether somebody removed the file, or the program closed it. Then nobody sees what is locked in it.
    pub(crate) fn are_lost(&self) -> bool {
        self.own.is_lost()
    }

    /// The file in which this user's processes lock all their segments, also those that other users may open.
    pub(crate) fn own(&self) -> BorrowedFd<'_> {
        self.own.as_fd()
    }

    /// The file of a class, opened when it is first asked for.
    pub(crate) fn of_class(&self, home: &Home, class: Class) -> Result<BorrowedFd<'_>, OsError> {
        if class == Class::Owner {
            return Ok(self.own());
        }
        let mut place = &self.classes;
        let mut opened = None;
        loop {
            match place.get() {
                Some(known) if known.class == class => return Ok(known.file.as_fd()),
                Some(other) => place = &other.next,
                None => {
                    let file = match opened.take() {
                        Some(file) => file,
                        None => Descriptor::new(open_for(home, class)?)?,
                    };
                    let new = Box::new(ClassFile { class, file, next: OnceLock::new() });
                    // Another thread may have put one there.
                    opened = place.set(new).err().map(|ours| ours.file);
                }
            }
        }
    }

    pub(crate) fn lock(
        &self,
        home: &Home,
        LockFile { uid, class }: LockFile,
        byte: u32,
        limit: LockWait,
    ) -> Result<NameLock<'_>, OsError> {
        let mut lock = NameLock { byte, own: None, class: None, shard: None };
        if skips(Check::Lock) {
            return Ok(lock);
        }
        let mut wait = Wait { limit, began: None };
        if uid == self.uid {
            let shard = &self.shards[byte as usize % SHARDS];
            poll(&mut wait, || Ok(Shard::take(shard)))?;
            lock.shard = Some(Shard(shard));
            let file = self.own();
            take(&mut wait, file, byte)?;
            lock.own = Some(file);
            if class != Class::Owner {
                let file = self.of_class(home, class)?;
                take(&mut wait, file, byte)?;
                lock.class = Some(ClassLock::Ours(file));
            }
        } else if let Some(file) = of_user(uid, class)? {
            // A description of its own excludes our other threads as well.
            take(&mut wait, file.as_fd(), byte)?;
            lock.class = Some(ClassLock::Theirs(file));
        }
        Ok(lock)
    }
}

/// Makes the lock file of a class. Its live file is made with it: other users, who may come to it first, make none.
fn open_for(home: &Home, class: Class) -> Result<OwnedFd, OsError> {
    home.file(&class.file_name(Home::LIVE), Some(class))?;
    home.file(&class.file_name(KIND), Some(class))
}

fn take(wait: &mut Wait, file: BorrowedFd<'_>, byte: u32) -> Result<(), OsError> {
    poll(wait, || match ofd_lock::set(file, byte.into(), 1, LockKind::Write) {
        Ok(()) => Ok(true),
        // fcntl(2): "operation is prohibited by locks held by other processes", as EACCES or EAGAIN.
        Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => Ok(false),
        Err(errno) => Err(OsError::new("fcntl(F_OFD_SETLK)", errno as i32)),
    })
}

/// The flag of one shard of the names, set; dropping it clears it.
#[derive(Debug)]
struct Shard<'a>(&'a AtomicBool);

impl Shard<'_> {
    fn take(flag: &AtomicBool) -> bool {
        flag.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }
}

impl Drop for Shard<'_> {
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

/// A name's lock; dropping it unlocks.
#[derive(Debug)]
pub struct NameLock<'a> {
    byte: u32,
    own: Option<BorrowedFd<'a>>,
    class: Option<ClassLock<'a>>,
    shard: Option<Shard<'a>>,
}

#[derive(Debug)]
enum ClassLock<'a> {
    Ours(BorrowedFd<'a>),
    Theirs(OwnedFd),
}

impl Drop for NameLock<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that we hold, and if it did, the process's end would unlock it.
        let unlock = |file| _ = ofd_lock::set(file, self.byte.into(), 1, LockKind::Unlock);
        match &self.class {
            Some(ClassLock::Ours(file)) => unlock(*file),
            Some(ClassLock::Theirs(file)) => unlock(file.as_fd()),
            None => {}
        }
        if let Some(file) = self.own {
            unlock(file);
        }
    }
}

/// Opens a lock file with a description of its own; `None` if we may not open it.
pub(crate) fn reopen(
    home: &Home,
    us: u32,
    LockFile { uid, class }: LockFile,
) -> Result<Option<OwnedFd>, OsError> {
    if uid == us { home.file(&class.file_name(KIND), None).map(Some) } else { of_user(uid, class) }
}

/// What the files are called, before their class.
const KIND: &str = "lock";

fn of_user(uid: u32, class: Class) -> Result<Option<OwnedFd>, OsError> {
    let home = match Home::of_other(uid) {
        // The folder there belongs to somebody else: that user has never used the library, and has no locks.
        Err(error) if error.errno() == libc::EPERM => None,
        home => home?,
    };
    match home.map(|home| home.file(&class.file_name(KIND), None)).transpose() {
        // We may not lock it. Then only the kernel's answer keeps the owner from destroying the segment that we hold.
        Err(error) if matches!(error.errno(), libc::ENOENT | libc::EACCES) => Ok(None),
        opened => opened,
    }
}

/// Tries until it succeeds or the wait is over.
fn poll(wait: &mut Wait, mut attempt: impl FnMut() -> Result<bool, OsError>) -> Result<(), OsError> {
    let mut pause = Duration::from_micros(20);
    while !attempt()? {
        if !wait.goes_on() {
            return Err(busy());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
    Ok(())
}

fn busy() -> OsError {
    OsError::new("fcntl(F_OFD_SETLK)", libc::EBUSY)
        .advise("Another process has held this segment's lock for a second (is it stopped?): try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tries are counted, as a busy machine makes them fewer and not more.
    #[test]
    fn a_wait_for_one_lock_ends_after_a_second() {
        let (mut tries, began) = (0, Instant::now());
        let counted = || {
            tries += 1;
            Ok(false)
        };
        let refused = poll(&mut Wait { limit: LockWait::Bounded, began: None }, counted).unwrap_err();
        assert_eq!(refused.errno(), libc::EBUSY);
        assert!(began.elapsed() >= Duration::from_secs(1));
        // Seven that are shorter than the longest pause of 2 ms, 500 of it, and one after the end.
        assert!(tries <= 508, "{tries}");
    }

    #[test]
    fn a_call_waits_a_second_for_all_its_locks_together() {
        let never = |limit| poll(&mut Wait { limit, began: None }, || Ok(false)).unwrap_err().errno();
        within_a_second(|| {
            assert_eq!(never(LockWait::Bounded), libc::EBUSY);
            assert_eq!(LEFT.get(), Some(Duration::ZERO));
            let mut tries = 0;
            let counted = || {
                tries += 1;
                Ok(false)
            };
            assert!(poll(&mut Wait { limit: LockWait::Bounded, began: None }, counted).is_err());
            assert_eq!(tries, 1, "nothing is left to wait for the next one");
            within_a_second(|| {
                assert_eq!(LEFT.get(), Some(Duration::ZERO), "a call within a call has no more")
            });
        });
        assert_eq!(LEFT.get(), None);
    }
}
