//! Loading what is not there, once for all processes.

use crate::protocol::{load::Beginning, writer::If};
use crate::{
    EntryOptions, Map, MapError,
    clock::{SystemClock, expiry},
};
use shm_sync::{Owner, Pause, Step, notify};
use std::time::Duration;

/// Who may load an entry: see [`Map::begin_load`]. It says nothing when it is dropped: end it with
/// [`Map::finish_load`] or [`Map::abandon_load`], or nobody else loads until its time is over, or its owner is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "others wait for it"]
pub struct Load(u64);

impl Map<'_> {
    /// Begins to load an entry that is not there: `Ready(None)` where it is there by now, `Ready(Some)` for the one who
    /// is to load it, and `Wait` for all others, who look and begin again after the pause. One whose process is killed
    /// is replaced within 20 ms, one who takes longer than `timeout` too. The tags are those that the entry is going to
    /// have.
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

    /// Writes what was loaded, and wakes those who wait. Gives the version; `None` if the entry was written, removed
    /// or invalidated meanwhile, or the time was over: then nothing is stored.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert). The load has ended all the same.
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
        stored.map_err(|refused| self.error_of(refused, &key, value.len()))
    }

    /// Gives a load up, so that one of those who wait loads.
    ///
    /// # Errors
    ///
    /// [`MapError::Busy`] if another writer of this shard is stopped.
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
