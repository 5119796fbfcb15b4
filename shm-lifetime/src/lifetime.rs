//! The files of one user, as one process has them open.

use crate::{
    BackendId, Class, Entry, Home, LockFile, LockWait, NameLock, Namespaces, fork,
    ledger::{self, Ledger},
    lock::{self, Locks},
};
use parking_lot::RwLock;
use shm_api::OsError;
use std::{
    os::fd::{BorrowedFd, OwnedFd},
    process, ptr,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::{Duration, Instant},
};

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What [`Lifetime::current`] returns, behind a lock. In the child of a fork, no thread of the parent can have left
/// this lock locked.
struct Current {
    generation: u32,
    lifetime: RwLock<Option<Arc<Lifetime>>>,
}

impl Current {
    /// The one of this process. Forked child: replace the lock, another thread may have held it.
    fn of(generation: u32) -> &'static Self {
        static CURRENT: AtomicPtr<Current> = AtomicPtr::new(ptr::null_mut());
        let mut seen = CURRENT.load(Acquire);
        loop {
            // SAFETY: null, or made below by some thread, and never freed.
            if let Some(current) = unsafe { seen.as_ref() }.filter(|current| current.generation == generation)
            {
                return current;
            }
            let new = Box::into_raw(Box::new(Self { generation, lifetime: RwLock::new(None) }));
            seen = match CURRENT.compare_exchange(seen, new, AcqRel, Acquire) {
                Ok(_) => new,
                Err(other) => {
                    // SAFETY: made above, and nobody else has it.
                    drop(unsafe { Box::from_raw(new) });
                    other
                }
            };
        }
    }
}

/// Ledger and locks of one user in one process. After a fork or a change of user, another one is needed: a child shares
/// its parent's open file descriptions, and with them its locks.
#[derive(Debug)]
pub struct Lifetime {
    generation: u32,
    pid: u32,
    uid: u32,
    home: Home,
    locks: Locks,
    ledger: OnceLock<Ledger>,
    namespaces: Namespaces,
    swept: [AtomicBool; 2],
    /// When to check whether the files still exist, in milliseconds.
    next_look: AtomicU64,
}

impl Lifetime {
    /// Returns that of this process and its effective user. The first call opens it.
    ///
    /// # Errors
    ///
    /// If the user's folder cannot be made, or belongs to another user.
    pub fn current() -> Result<Arc<Self>, OsError> {
        let (generation, uid) = (fork::generation(), nix::unistd::geteuid().as_raw());
        let fits = |lifetime: &&Arc<Self>| {
            lifetime.generation == generation && lifetime.uid == uid && !lifetime.is_out_of_date()
        };
        let current = &Current::of(generation).lifetime;
        if let Some(lifetime) = current.read().as_ref().filter(fits) {
            return Ok(lifetime.clone());
        }
        let mut current = current.write();
        if let Some(lifetime) = current.as_ref().filter(fits) {
            return Ok(lifetime.clone());
        }
        let home = Home::of_this_user(uid)?;
        let locks = Locks::open(&home, uid)?;
        let (ledger, namespaces) = (OnceLock::new(), Namespaces::ours());
        let swept = [const { AtomicBool::new(false) }; 2];
        let (pid, next_look) = (process::id(), AtomicU64::new(0));
        let lifetime =
            Arc::new(Self { generation, pid, uid, home, locks, ledger, namespaces, swept, next_look });
        Ok(current.insert(lifetime).clone())
    }

    /// Whether another one is needed: somebody removed the folder (a login manager does that when its user logs out) or a
    /// file in it, the program closed our files (a daemon that closes all descriptors), or the process entered another
    /// IPC namespace. If the files were removed, the next process makes others, and nobody sees what we write and lock
    /// in ours. This is checked from time to time.
    fn is_out_of_date(&self) -> bool {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
        if now < self.next_look.load(Relaxed) {
            return false;
        }
        let lost = self.locks.are_lost()
            || self.ledger.get().is_some_and(Ledger::is_lost)
            || !self.namespaces.is_ipc_still_ours();
        if !lost {
            self.next_look.store(now + LOOK_EVERY.as_millis() as u64, Relaxed);
        }
        lost
    }

    /// Whether this process opened it, and did not inherit it by a fork.
    pub fn is_this_process(&self) -> bool {
        self.generation == fork::generation()
    }

    /// The id of this process, as entries have it.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The user.
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// Our namespaces.
    pub const fn namespaces(&self) -> Namespaces {
        self.namespaces
    }

    /// Returns the ledger. Makes it if there is none.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is no room for it, `ENOTSUP` if another version wrote it.
    pub fn ledger(&self) -> Result<&Ledger, OsError> {
        match self.ledger.get() {
            Some(ledger) => Ok(ledger),
            None => {
                let ledger = Ledger::open(self.home.file(ledger::FILE, Some(Class::Owner))?)?;
                Ok(self.ledger.get_or_init(|| ledger))
            }
        }
    }

    /// Returns the ledger if there is one. `None`: there is none, or we cannot read it, so there are no entries.
    pub fn existing_ledger(&self) -> Option<&Ledger> {
        self.ledger.get().or_else(|| {
            let ledger = Ledger::open(self.home.file(ledger::FILE, None).ok()?).ok()?;
            Some(self.ledger.get_or_init(|| ledger))
        })
    }

    /// Returns the entries of one backend in the ledger of this user.
    pub fn entries(&self, backend: BackendId) -> Vec<Entry> {
        let Some(ledger) = self.existing_ledger() else { return Vec::new() };
        let entries = ledger.taken().filter_map(|(id, ..)| ledger.get(id));
        entries.filter(|entry| entry.name.backend() == backend).collect()
    }

    /// Locks a name, see [`EntryName::lock_byte`](crate::EntryName::lock_byte).
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody held it for as long as `wait` lasted.
    pub fn lock(&self, file: LockFile, byte: u32, wait: LockWait) -> Result<NameLock<'_>, OsError> {
        self.locks.lock(&self.home, file, byte, wait)
    }

    /// Returns the file in which users of a class lock the names of our segments.
    pub(crate) fn lock_file_of_class(&self, class: Class) -> Result<BorrowedFd<'_>, OsError> {
        self.locks.of_class(&self.home, class)
    }

    /// Opens the lock file in which a holder has its mark, with a description of its own; `None` if we may not open it.
    pub(crate) fn reopen_lock_file(&self, file: LockFile) -> Result<Option<OwnedFd>, OsError> {
        lock::reopen(&self.home, self.uid, file)
    }

    /// Whether this is the first use of a backend in this process, so that it has to sweep.
    pub(crate) fn is_first_use(&self, backend: BackendId) -> bool {
        let swept = &self.swept[backend as usize - 1];
        !swept.load(Relaxed) && !swept.swap(true, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_a_thread_of_the_parent_holds_does_not_block_a_child() {
        let of_parent = Current::of(1);
        let _locked = of_parent.lifetime.write();
        assert!(Current::of(2).lifetime.try_read().is_some());
    }
}
