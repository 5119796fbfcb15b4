//! How a holder leaves a segment.

use crate::{
    Check, Entry, EntryId, EntryName, Kernel, Lifetime, LockFile, LockWait, OUTLIVES, ObjectId, skips, step,
};
use shm_api::Detached;
use std::sync::Arc;

/// What an attachment needs to leave its segment.
#[derive(Debug)]
pub struct Hold {
    /// The files of the user that attached it.
    lifetime: Arc<Lifetime>,
    /// The segment's entry; `None` for a foreign segment.
    entry: Option<EntryId>,
    /// The lock that was held to attach it.
    file: LockFile,
    /// The name's lock byte.
    byte: u32,
    /// Which object it is.
    pub object: ObjectId,
    /// This process created it.
    pub created_here: bool,
}

impl Hold {
    /// Makes the hold of a new attachment, under the name's lock.
    pub fn new(
        lifetime: &Arc<Lifetime>,
        entry: Option<EntryId>,
        file: LockFile,
        name: &EntryName,
        object: ObjectId,
        created_here: bool,
    ) -> Self {
        if let (Some(id), Some(ledger)) = (entry, lifetime.existing_ledger()) {
            ledger.attach(id, object);
        }
        Self { lifetime: lifetime.clone(), entry, file, byte: name.lock_byte(), object, created_here }
    }

    /// Leaves: calls `release` to let go of the memory, and destroys the segment if this was the last holder. A segment
    /// that is not in the ledger stays, and `look` says whether it still exists. Safe in a signal handler if `release`
    /// and `look` are.
    pub fn leave<K: Kernel>(
        &self,
        wait: LockWait,
        release: impl FnOnce() -> bool,
        look: impl FnOnce() -> Detached,
    ) -> Detached {
        // Only a segment of ours is ever destroyed here, so only such a one needs the lock.
        let Some(id) = self.entry else {
            return if release() { look() } else { OUTLIVES };
        };
        let lifetime = &*self.lifetime;
        let lock = lifetime.lock(self.file, self.byte, wait);
        step();
        let released = release();
        step();
        let ledger = lifetime.existing_ledger();
        let held_elsewhere = ledger.is_some_and(|ledger| ledger.detach(id, self.object));
        // We did not get the lock, or the memory was not let go: the entry stays, and a sweep looks again.
        let (Ok(_lock), true) = (lock, released) else { return OUTLIVES };
        let Some(ledger) = ledger else { return look() };
        match ledger.get(id).filter(|entry| entry.is_about(self.object)) {
            // This process asks the kernel when its last attachment leaves.
            Some(_) if held_elsewhere && !K::COUNTS && !skips(Check::EntryStays) => OUTLIVES,
            Some(entry) => {
                let detached = lifetime.settle::<K>(ledger, id, &entry);
                if skips(Check::EntryStays) {
                    ledger.erase(id);
                }
                detached
            }
            // Destroyed by request, and the slot has gone to another segment or to none.
            None => look(),
        }
    }

    /// The user whose ledger and locks it uses.
    pub fn uid(&self) -> u32 {
        self.lifetime.uid()
    }

    /// The entry of this segment, if the ledger still has it under this name.
    pub fn entry_of(&self, name: &EntryName) -> Option<Entry> {
        let ledger = self.lifetime.existing_ledger()?;
        let own = self.entry.and_then(|id| ledger.get(id));
        own.filter(|entry| entry.name == *name && entry.is_about(self.object))
            .or_else(|| self.lifetime.entry_of(name).map(|(_, entry)| entry))
    }

    /// Whether this process may use the locks: a child of a fork shares them with its parent.
    pub fn is_this_process(&self) -> bool {
        self.lifetime.is_this_process()
    }
}
