//! One lock per name, across threads and processes.
//!
//! Two locks in turn: a flag of this process, then an open file description lock on one byte of a lock file.
//! fcntl(2): "open file description locks placed via the same open file description […] are compatible", so
//! they do not exclude our own threads; the flag does. The kernel drops the byte lock of a process that dies.
//!
//! Both are polled. A mutex that queues its waiters would be no better (contention is rare, and a wait ends
//! after a second), and its queue is not safe to touch in a signal handler.
//!
//! A thread holds one name at a time, so there is no order to keep, and two names that share a byte only wait
//! for each other. Every wait has an end: a stopped process must not stall the others.

use crate::{
    Check, Home,
    ofd_lock::{self, Kind},
    skips,
};
use nix::errno::Errno;
use shm_api::OsError;
use std::{
    array,
    cell::Cell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Relaxed, Release},
    },
    thread,
    time::{Duration, Instant},
};

const SHARDS: usize = 64;

/// Which file the byte lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockFile {
    /// `lock` in our own folder: segments that only this user may use.
    Own,
    /// `lock.shared` in our own folder: segments of ours that others may use.
    Shared,
    /// `lock.shared` in another user's folder, or `lock` where we (root) may open it.
    OfUser {
        /// The owner of the segment.
        uid: u32,
        /// Whether its mode lets others in.
        shared: bool,
    },
}

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// A second, or what is left of it for one call: see [`within_a_second`].
    Bounded,
    /// Not at all.
    Try,
    /// Until then.
    Until(Instant),
}

/// Whoever holds a lock longer is stopped, or stuck, or means harm.
const BOUND: Duration = Duration::from_secs(1);

thread_local! {
    /// How long this thread may still wait in the call that it is in.
    static LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs a call that takes many locks: it waits a second for all of them together, and not for each.
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
    patience: Patience,
    began: Option<Instant>,
}

impl Wait {
    /// Whether to try again. (In a signal handler nothing but the clock is asked.)
    fn goes_on(&mut self) -> bool {
        match self.patience {
            Patience::Try => false,
            Patience::Until(end) => Instant::now() < end,
            Patience::Bounded => {
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

/// The lock files of one user, with the flags that go before them.
#[derive(Debug)]
pub(crate) struct Locks {
    own: OwnedFd,
    shared: OwnedFd,
    shards: [AtomicBool; SHARDS],
}

impl Locks {
    pub(crate) fn open(home: &Home) -> Result<Self, OsError> {
        let own = home.file(file_name(false), Some(0o600))?;
        let shared = home.file(file_name(true), Some(0o666))?;
        Ok(Self { own, shared, shards: array::from_fn(|_| AtomicBool::new(false)) })
    }

    /// One of our own, as it is locked through.
    pub(crate) fn own(&self, shared: bool) -> BorrowedFd<'_> {
        if shared { self.shared.as_fd() } else { self.own.as_fd() }
    }

    pub(crate) fn lock(
        &self,
        file: LockFile,
        byte: u32,
        patience: Patience,
    ) -> Result<NameLock<'_>, OsError> {
        if skips(Check::Lock) {
            return Ok(NameLock { file: None, byte, _shard: None });
        }
        let file = match file {
            LockFile::Own => Descriptor::Ours(self.own(false)),
            LockFile::Shared => Descriptor::Ours(self.own(true)),
            LockFile::OfUser { uid, shared } => match of_user(uid, shared)? {
                // A description of its own excludes our other threads as well.
                Some(file) => Descriptor::Theirs(file),
                None => return Ok(NameLock { file: None, byte, _shard: None }),
            },
        };
        let mut wait = Wait { patience, began: None };
        let shard = match file {
            Descriptor::Theirs(_) => None,
            Descriptor::Ours(_) => {
                let shard = &self.shards[byte as usize % SHARDS];
                poll(&mut wait, || Ok(Shard::take(shard)))?;
                Some(Shard(shard))
            }
        };
        poll(&mut wait, || match ofd_lock::set(&file, byte.into(), 1, Kind::Write) {
            Ok(()) => Ok(true),
            // fcntl(2): "operation is prohibited by locks held by other processes", as EACCES or EAGAIN.
            Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => Ok(false),
            Err(errno) => Err(OsError::new("fcntl(F_OFD_SETLK)", errno as i32)),
        })?;
        Ok(NameLock { file: Some(file), byte, _shard: shard })
    }
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
    file: Option<Descriptor<'a>>,
    byte: u32,
    _shard: Option<Shard<'a>>,
}

impl Drop for NameLock<'_> {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // It cannot fail for a lock that we hold, and if it did, the process's end would unlock it.
            let _ = ofd_lock::set(file, self.byte.into(), 1, Kind::Unlock);
        }
    }
}

#[derive(Debug)]
enum Descriptor<'a> {
    Ours(BorrowedFd<'a>),
    Theirs(OwnedFd),
}

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Ours(file) => *file,
            Self::Theirs(file) => file.as_fd(),
        }
    }
}

/// A lock file under a description of its own; `None` where it is not ours to open.
pub(crate) fn reopen(home: &Home, file: LockFile) -> Result<Option<OwnedFd>, OsError> {
    match file {
        LockFile::Own => home.file(file_name(false), None).map(Some),
        LockFile::Shared => home.file(file_name(true), None).map(Some),
        LockFile::OfUser { uid, shared } => of_user(uid, shared),
    }
}

const fn file_name(shared: bool) -> &'static str {
    if shared { "lock.shared" } else { "lock" }
}

fn of_user(uid: u32, shared: bool) -> Result<Option<OwnedFd>, OsError> {
    let home = match Home::of_other(uid) {
        // What somebody else put there is not that user's: who has never used the library has no locks.
        Err(error) if error.errno() == libc::EPERM => None,
        home => home?,
    };
    match home.map(|home| home.file(file_name(shared), None)).transpose() {
        // It is not ours to lock; the kernel's word alone then keeps the owner from taking it from us.
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
        let refused = poll(&mut Wait { patience: Patience::Bounded, began: None }, counted).unwrap_err();
        assert_eq!(refused.errno(), libc::EBUSY);
        assert!(began.elapsed() >= Duration::from_secs(1));
        // Seven that are shorter than the longest pause of 2 ms, 500 of it, and one after the end.
        assert!(tries <= 508, "{tries}");
    }

    #[test]
    fn a_call_waits_a_second_for_all_its_locks_together() {
        let never = |patience| poll(&mut Wait { patience, began: None }, || Ok(false)).unwrap_err().errno();
        within_a_second(|| {
            assert_eq!(never(Patience::Bounded), libc::EBUSY);
            assert_eq!(LEFT.get(), Some(Duration::ZERO));
            let mut tries = 0;
            let counted = || {
                tries += 1;
                Ok(false)
            };
            assert!(poll(&mut Wait { patience: Patience::Bounded, began: None }, counted).is_err());
            assert_eq!(tries, 1, "nothing is left to wait for the next one");
            within_a_second(|| {
                assert_eq!(LEFT.get(), Some(Duration::ZERO), "a call within a call has no more")
            });
        });
        assert_eq!(LEFT.get(), None);
    }
}
