//! The protocol that both backends follow. Each backend itself asks the kernel who holds a segment.

use crate::{
    BackendId, Check, Class, Entry, EntryId, EntryName, Ledger, Lifetime, LockFile, LockWait, NameLock,
    ObjectId, skips, step,
};
use shm_api::{AttachError, CreateOptions, Detached, Key, OsError};
use std::{num::NonZeroUsize, time::UNIX_EPOCH};

/// The kernel interface of one backend, for segments in the ledger.
pub trait Kernel {
    /// The backend whose entries it can read.
    const BACKEND: BackendId;

    /// Whether the kernel counts holders. Then a holder that leaves asks it even if it is not the last.
    const COUNTS: bool;

    /// Finds out how far the kernel can be asked here, before a sweep does so. It is never called in a signal handler.
    fn prepare(_lifetime: &Lifetime) {}

    /// Destroys the segment of an entry if the kernel says that nobody holds it. Destroys no other segment. It is
    /// called under the name's lock, perhaps in a signal handler, so it only makes system calls.
    fn destroy_unheld(lifetime: &Lifetime, entry: &Entry) -> Detached;
}

/// The answer if a segment stays and its holders cannot be counted.
pub const OUTLIVES: Detached = Detached::Outlives(NonZeroUsize::MIN);

/// A name that was looked up. It is locked until this is dropped.
#[derive(Debug)]
pub struct Looked<'l> {
    /// The file in which it is locked.
    pub file: LockFile,
    /// Its entry; `None` for a foreign segment.
    pub known: Option<(EntryId, Entry)>,
    /// The lock.
    pub lock: NameLock<'l>,
}

impl Lifetime {
    /// The users who may open a segment that this process creates.
    pub fn class_to_create(&self, options: &CreateOptions) -> Class {
        Class::of(options.permissions().bits(), nix::unistd::getegid().as_raw())
    }

    /// The lock file of a segment of ours.
    pub const fn lock_file(&self, class: Class) -> LockFile {
        LockFile { uid: self.uid(), class }
    }

    /// Settles one entry, under its name's lock: a segment that is gone leaves the ledger.
    pub fn settle<K: Kernel>(&self, ledger: &Ledger, id: EntryId, entry: &Entry) -> Detached {
        let detached = K::destroy_unheld(self, entry);
        if !matches!(detached, Detached::Outlives(_)) {
            step();
            ledger.erase(id);
        }
        detached
    }

    /// Destroys the segments that nobody holds, and erases the entries of segments that are gone. Returns how many
    /// segments it destroyed. It leaves names that are locked to the next sweep. A crash at any point does no harm, and
    /// several processes can sweep at the same time.
    pub fn sweep<K: Kernel>(&self) -> usize {
        let Some(ledger) = self.existing_ledger() else { return 0 };
        let mut destroyed = 0;
        for (id, byte) in ledger.taken() {
            let class = |entry: Option<Entry>| entry.map_or(Class::Owner, |entry| entry.class());
            let seen = class(ledger.get(id));
            let Ok(_lock) = self.lock(self.lock_file(seen), byte, LockWait::Try) else { continue };
            // Another entry may have got the slot before we had the lock.
            let entry = ledger.get(id);
            if !ledger.taken_by(id, byte) || class(entry) != seen {
                continue;
            }
            match entry {
                Some(entry) if entry.name.backend() == K::BACKEND => {
                    K::prepare(self);
                    destroyed += usize::from(self.settle::<K>(ledger, id, &entry) == Detached::Destroyed);
                }
                Some(_) => {}
                // Its writer died before it was complete, or it is damaged: it stands for no segment.
                None => ledger.erase(id),
            }
        }
        ledger.recount();
        destroyed
    }

    /// Sweeps when a backend is used for the first time in this process.
    pub fn sweep_once<K: Kernel>(&self) {
        if self.is_first_use(K::BACKEND) {
            self.sweep::<K>();
        }
    }

    /// Locks the name under which a segment is about to be created. `None`: the ledger has a segment of that name, and
    /// it is held.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the name stays locked; other errors if the ledger cannot be opened.
    pub fn lock_to_create<K: Kernel>(
        &self,
        name: &EntryName,
        class: Class,
    ) -> Result<Option<NameLock<'_>>, OsError> {
        let ledger = self.ledger()?;
        let byte = name.lock_byte();
        loop {
            let lock = self.lock(self.lock_file(class), byte, LockWait::Bounded)?;
            let Some((id, entry)) = self.entry_of(name) else { return Ok(Some(lock)) };
            // Users who may open an older segment of that name must be locked out while it is looked at.
            drop(lock);
            let _lock = self.lock(self.lock_file(entry.class()), byte, LockWait::Bounded)?;
            if ledger.get(id).as_ref() != Some(&entry) {
                continue;
            }
            if matches!(self.settle::<K>(ledger, id, &entry), Detached::Outlives(_)) {
                return Ok(None);
            }
        }
    }

    /// Creates a segment under the name's lock. It writes the entry before, and erases it if `create` fails. `create`
    /// gets the place of the entry, and returns the segment and its object id.
    ///
    /// # Errors
    ///
    /// Those of `create`, or `ENOSPC` if the ledger cannot grow.
    pub fn enter<T, E: From<OsError>>(
        &self,
        entry: &Entry,
        create: impl FnOnce(Option<EntryId>) -> Result<(T, ObjectId), E>,
    ) -> Result<(EntryId, T), E> {
        let ledger = self.ledger()?;
        if skips(Check::EntryFirst) {
            let (created, object) = create(None)?;
            step();
            let id = ledger.insert(entry)?;
            ledger.set_object(id, Some(object));
            return Ok((id, created));
        }
        let id = ledger.insert(entry)?;
        step();
        match create(Some(id)) {
            Ok((created, object)) => {
                step();
                ledger.set_object(id, Some(object));
                Ok((id, created))
            }
            Err(error) => {
                ledger.erase(id);
                Err(error)
            }
        }
    }

    /// Erases the entry of a segment that was just destroyed by request, under its name's lock.
    pub fn forget(&self, name: &EntryName, object: ObjectId) {
        if let Some(ledger) = self.existing_ledger()
            && let Some((id, _)) = self.entry_of(name).filter(|(_, entry)| entry.is_about(object))
        {
            ledger.erase(id);
        }
    }

    /// Looks a name up, and locks it in the lock file of its entry. If there is no entry, `of_foreign` returns the lock
    /// file, or `None` if the segment is gone meanwhile. Returns `None` if the entry or the segment changed before the
    /// name was locked: look again.
    ///
    /// # Errors
    ///
    /// Those of `of_foreign`, and `EBUSY` if the name cannot be locked within a second.
    pub fn look_up(
        &self,
        key: &Key,
        name: &EntryName,
        of_foreign: impl FnOnce() -> Result<Option<LockFile>, AttachError>,
    ) -> Result<Option<Looked<'_>>, AttachError> {
        let known = self.entry_of(name);
        let file = match &known {
            Some((_, entry)) => Some(self.lock_file(entry.class())),
            None => of_foreign()?,
        };
        let Some(file) = file else { return Ok(None) };
        let lock = self.lock(file, name.lock_byte(), LockWait::Bounded).map_err(|error| error.on(key))?;
        let is_unchanged = match &known {
            Some((id, entry)) => {
                self.existing_ledger().and_then(|ledger| ledger.get(*id)).as_ref() == Some(entry)
            }
            None => self.entry_of(name).is_none(),
        };
        Ok(is_unchanged.then_some(Looked { file, known, lock }))
    }

    /// Where a name's entry is and which lock file it asks for; `None` for a foreign segment. An entry of another IPC
    /// namespace or mount says nothing of a name here.
    pub fn entry_of(&self, name: &EntryName) -> Option<(EntryId, Entry)> {
        self.existing_ledger()?.entries_of(name).find(|(_, entry)| self.namespaces().has(entry))
    }
}

impl Entry {
    /// The entry of a segment that this process is about to create in `namespace`.
    pub fn of_this_process(
        name: EntryName,
        lifetime: &Lifetime,
        options: &CreateOptions,
        namespace: u64,
    ) -> Self {
        Self {
            name,
            persist: options.persists(),
            mode: options.permissions().bits(),
            gid: Some(nix::unistd::getegid().as_raw()),
            pid: lifetime.pid(),
            pid_namespace: lifetime.namespaces().pid,
            namespace,
            object: None,
            created: UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64),
            size: options.size().get() as u64,
        }
    }
}
