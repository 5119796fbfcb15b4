//! Loading a missing entry, once for all processes.

use crate::protocol::{load::Beginning, writer::If};
use crate::{
    EntryOptions, Map, MapError,
    clock::{SystemClock, expiry},
};
use shm_sync::{Owner, Pause, Step, notify};
use std::time::Duration;

/// The right to load an entry: see [`Map::begin_load`]. End it with [`Map::finish_load`] or [`Map::abandon_load`]. A
/// drop does not end it: then nobody else loads the entry until the timeout is over, or its owner is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "others wait for it"]
pub struct Load(u64);

impl Map<'_> {
    /// Begins to load a missing entry. `Ready(None)`: the entry exists by now. `Ready(Some)`: this caller loads it.
    /// `Wait`: another caller loads it; look for the entry and begin again after the pause. If the process of the
    /// loading caller is killed, another caller gets the load within 20 ms; also if the load takes longer than
    /// `timeout`. `tags` are the tags that the entry will have.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn begin_load(
        &self,
        key: &[u8],
        timeout: Duration,
        tags: &[&str],
    ) -> Result<Step<'_, Option<Load>>, MapError> {
        let (key, tags, owner) = (self.key(key)?, self.tags(tags)?, self.owner()?);
        let expires = expiry(Some(timeout), SystemClock);
        // A process that waits for a dead loader may also have to take its lock. It does not wait for both.
        self.take_from_the_dead(&key)?;
        self.locked(&key, 0, |shard| {
            let is_alive = |owner| self.is_alive(Owner::from_word(owner));
            let begun = shard.begin_load(&key, owner.get(), expires, &tags, is_alive, SystemClock)?;
            Ok(match begun {
                Beginning::Present => Step::Ready(None),
                Beginning::Ours(number) => Step::Ready(Some(Load(number))),
                Beginning::Theirs(expected) => Step::Wait(Pause { cell: shard.loaded(), expected }),
            })
        })
    }

    /// Writes the loaded value, and wakes the callers that wait. Returns the version. Returns `None`, and stores
    /// nothing, if the entry was written, removed or invalidated meanwhile, or if the timeout was over. (A cache may
    /// also forget a load, if all that it has is wanted, and much is written meanwhile.)
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert). The load has ended even after an error, but not after [`MapError::Busy`]: then call
    /// this again, or [`abandon_load`](Self::abandon_load).
    pub fn finish_load(
        &self,
        key: &[u8],
        load: Load,
        value: &[u8],
        options: &EntryOptions<'_>,
    ) -> Result<Option<u64>, MapError> {
        let prepared = self.check_value(value.len()).and_then(|()| self.tags(options.tags));
        let tags = match prepared {
            Ok(tags) => tags,
            Err(error) => {
                self.abandon_load(key, load)?;
                return Err(error);
            }
        };
        let (key, expires) = (self.key(key)?, expiry(options.ttl, SystemClock));
        let draft = self.draft(key, value, options, expires, &tags);
        let (stored, loaded) = self.locked(&key, value.len(), |shard| {
            let is_ours = shard.end_load(&key, load.0, SystemClock);
            let stored = if is_ours { shard.put(&draft, If::Always, SystemClock) } else { Ok(None) };
            Ok((stored, shard.loaded()))
        })?;
        notify(loaded, u32::MAX);
        stored.map_err(|refused| MapError::of(refused, value.len()))
    }

    /// Whether a load is under way: the entry was not written, removed or invalidated meanwhile, and the time is not
    /// over. If not, its result will not be stored, and is perhaps too old for callers that come now.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn is_loading(&self, key: &[u8], load: Load) -> Result<bool, MapError> {
        let found = self.core.get(&self.key(key)?.load(), SystemClock, |_, _| ());
        self.sound(Ok(found.is_some_and(|(found, ())| found.version == load.0)))
    }

    /// Gives up a load, so that one of the waiting callers loads.
    ///
    /// # Errors
    ///
    /// [`MapError::Busy`] if another writer of this shard is stopped: call this again later.
    pub fn abandon_load(&self, key: &[u8], load: Load) -> Result<(), MapError> {
        let key = self.key(key)?;
        let loaded = self.locked(&key, 0, |shard| {
            shard.end_load(&key, load.0, SystemClock);
            Ok(shard.loaded())
        })?;
        notify(loaded, u32::MAX);
        Ok(())
    }
}
