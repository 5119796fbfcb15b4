//! Loading a missing entry, once for all who ask. The first one leaves a record of another kind under the same key. It
//! is an entry like others: it expires, a clearing or a tag makes it invalid, and a write or a removal of the entry
//! removes it. So a loaded value is stored only if nothing came in between.

use super::{
    Clock, Refused,
    geometry::Key,
    layout::shard::LOADED,
    memory::{AtomicU32, Memory, Ordering},
    record::Draft,
    shard::Shard,
    writer::If,
};

/// What one who wants to load is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Look again: there is an entry.
    Present,
    /// Load. The load has this number.
    Ours(u64),
    /// Wait while the word of the shard holds this value: another one loads.
    Theirs(u32),
}

/// What a record of a load says: who loads.
const LENGTH: usize = 8;

impl<'a, M: Memory<'a>> Shard<'a, M> {
    /// The word on which those sleep who wait for a load of this shard.
    pub(crate) fn loaded(&self) -> &'a AtomicU32 {
        self.core.memory.word(self.core.geometry.shard(self.number) + LOADED)
    }

    /// Begins to load an entry on behalf of `owner`, if it is not there, and no owner who lives is at it.
    pub(crate) fn begin_load(
        &self,
        key: &Key<'_>,
        owner: u32,
        expires: Option<u64>,
        tags: &[u64],
        is_alive: impl FnOnce(u32) -> bool,
        clock: impl Clock,
    ) -> Result<Beginning, Refused> {
        // As readers find it: where the bytes contradict each other, a writer finds more, and the caller would look
        // again and again.
        if self.core.get(key, clock, |_, _| ()).is_some() {
            return Ok(Beginning::Present);
        }
        let load = key.load();
        if let Some(entry) = self.find_valid(&load, clock) {
            let mut value = [0; LENGTH];
            let length = entry.record.length.min(LENGTH);
            self.core.memory.read(entry.record.value_at(), &mut value[..length]);
            if is_alive(u64::from_le_bytes(value) as u32) {
                return Ok(Beginning::Theirs(self.loaded().load(Ordering::Relaxed)));
            }
        }
        let value = u64::from(owner).to_le_bytes();
        let draft = Draft { key: load, value: &value, encoding: 0, expires, tags };
        Ok(Beginning::Ours(self.put(&draft, If::Always, clock)?.unwrap_or_default()))
    }

    /// Ends a load; tells whether nothing came in between. The caller wakes those who sleep on the word.
    pub(crate) fn end_load(&self, key: &Key<'_>, number: u64, clock: impl Clock) -> bool {
        let Some(entry) = self.find(&key.load()) else { return false };
        if self.version(&entry.record) != number {
            return false;
        }
        let is_valid = self.core.is_valid(&entry.record, clock);
        self.drop(&entry);
        self.loaded().fetch_add(1, Ordering::Release);
        is_valid
    }
}
