//! What an owner of a shard does for a user of the map.

use super::{
    Clock, Refused,
    change::Sign,
    geometry::Key,
    layout::shard::{COUNTING, ENTRIES, LARGEST, LOADS, SETS},
    memory::{Memory, Ordering},
    record::{Draft, Record},
    ring::{Ring, Which},
    room::Budget,
    rules::Rule,
    shard::{Entry, Shard},
};
use shm_lifetime::fault;

/// When to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum If {
    /// In any case.
    Always,
    /// There is no such entry.
    Absent,
    /// The entry has this version.
    Version(u64),
}

/// The encoding of a value that [`Shard::increment`] can change: eight bytes, a double.
pub(crate) const NUMBER: u8 = 1;
/// The largest whole number that a double holds exactly, with all below it: 2^53 - 1.
const MOST: f64 = 9_007_199_254_740_991.0;

/// How often a writer frees a slot of the index, where writers of other shards take what it has freed.
const ATTEMPTS: u32 = 8;

/// A number as it is after an increment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) value: f64,
    pub(crate) expires: Option<u64>,
}

impl<'a, M: Memory<'a>> Shard<'a, M> {
    /// Writes an entry, and gives its version; `None` if the condition does not hold.
    pub(crate) fn put(&self, draft: &Draft<'_>, when: If, clock: impl Clock) -> Result<Option<u64>, Refused> {
        self.prefetch(draft.granules());
        let entry = self.find(&draft.key);
        let valid = entry.filter(|entry| when != If::Always && self.is_seen(entry, clock));
        let holds = match when {
            If::Always => true,
            If::Absent => valid.is_none(),
            If::Version(version) => valid.is_some_and(|entry| self.version(&entry.record) == version),
        };
        if !holds {
            return Ok(None);
        }
        self.write(draft, entry, clock).map(Some)
    }

    /// Whether readers find an entry. Where the bytes contradict each other, they find none that the tail has passed:
    /// who then adds what is not there would be refused again and again.
    fn is_seen(&self, entry: &Entry, clock: impl Clock) -> bool {
        self.core.is_valid(&entry.record, clock) && self.core.is_whole(&entry.ring, entry.slot)
    }

    pub(crate) fn version(&self, record: &Record) -> u64 {
        self.core.memory.long(record.version_at()).load(Ordering::Relaxed)
    }

    /// A version stands for one value: this is another one.
    pub(crate) fn set_version(&self, record: &Record) {
        self.core.memory.long(record.version_at()).store(self.next_version(), Ordering::Release);
    }

    /// Writes a record, and makes it the key's entry instead of the one that there is.
    #[inline]
    fn write(&self, draft: &Draft<'_>, entry: Option<Entry>, clock: impl Clock) -> Result<u64, Refused> {
        match self.write_once(draft, entry, clock)? {
            Some(version) => Ok(version),
            None => self.write_again(draft, clock),
        }
    }

    /// Frees a slot of the index, and writes a record again: while the slot is freed, the tail may pass what was written.
    #[cold]
    fn write_again(&self, draft: &Draft<'_>, clock: impl Clock) -> Result<u64, Refused> {
        for _ in 0..ATTEMPTS {
            let used = || self.load(ENTRIES).wrapping_add(self.load(LOADS));
            let before = used();
            if self.core.geometry.sizes.evict {
                self.evict_one(clock)?;
            } else {
                self.sweep_all(clock)?;
            }
            if used() == before {
                break;
            }
            if let Some(version) = self.write_once(draft, None, clock)? {
                return Ok(version);
            }
        }
        Err(Refused::Full)
    }

    /// As [`write`](Self::write). `None`: no slot of the index is free, and the record is garbage.
    #[inline]
    fn write_once(
        &self,
        draft: &Draft<'_>,
        entry: Option<Entry>,
        clock: impl Clock,
    ) -> Result<Option<u64>, Refused> {
        let granules = draft.granules();
        let most = self.ring(Which::Main).size / 3;
        if granules > most {
            return Err(Refused::TooLong(draft.most_within(most)));
        }
        let entry =
            if self.has_place(draft, entry, granules, clock)? { entry } else { self.find(&draft.key) };
        let ring = self.ring_for(&draft.key, entry, granules);
        let mut budget = Budget::for_granules(granules);
        let has_moved = self.make_room(&ring, granules, &mut budget, clock)?;
        let entry = if has_moved { self.find(&draft.key) } else { entry };
        if has_moved {
            self.sweep_some(clock)?;
        }

        let (place, position) = self.at_head(&ring, granules)?;
        if self.load(LARGEST) < granules {
            self.store(LARGEST, granules);
        }
        self.note_expiry(draft.expires);
        let version = self.next_version();
        fault::step();
        self.core.write_record(place, draft, self.generation(), version);
        self.move_head(&ring, position, granules);
        // Before the entry can be seen. Otherwise the load would replace it, if this process died in between.
        self.end_load_of(&draft.key);
        if !self.publish(draft, entry, &ring, position) {
            return Ok(None);
        }
        self.add(SETS, u64::from(!draft.key.is_load));
        Ok(Some(version))
    }

    /// Makes the record at a position the key's entry. `false`: no slot of the index is free.
    fn publish(&self, draft: &Draft<'_>, entry: Option<Entry>, ring: &Ring, position: u64) -> bool {
        let hash = draft.key.hash;
        let slot = ring.slot(super::geometry::tag(hash), position);
        let record = self.core.record(ring, position);
        let to = record.as_ref().map(|record| (ring, record));
        // The sweep may have dropped an entry that had expired.
        let is_there = |entry: &Entry| {
            self.core.slot(entry.place.bucket, entry.place.slot).load(Ordering::Relaxed) == entry.slot
        };
        if let Some(entry) = entry.filter(is_there) {
            let change = self.change(Some(&entry), to);
            self.begin_change(&change, entry.place, Sign::Left(entry.slot));
            // Release: who sees the slot sees the record.
            self.core.slot(entry.place.bucket, entry.place.slot).store(slot, Ordering::Release);
            fault::step();
            self.core.mark_dead(&entry.record);
            self.end_change(change);
            if self.core.geometry.sizes.evict {
                self.core.want(entry.place);
            }
            return true;
        }
        let change = self.change(None, to);
        let begin = |place| self.begin_change(&change, place, Sign::Taken(slot));
        let is_taken = self.core.take_slot(hash, slot, begin).is_some();
        if is_taken {
            self.end_change(change);
        } else {
            self.forget_change();
        }
        is_taken
    }

    /// The ring for a record: where its entry is, or where it belongs as a new one.
    fn ring_for(&self, key: &Key<'_>, entry: Option<Entry>, granules: u64) -> Ring {
        let small = self.ring(Which::Small);
        let fits = self.core.geometry.sizes.evict && granules <= small.size / 4;
        let is_main = !fits
            || match entry {
                Some(entry) => entry.ring.which == Which::Main,
                None => self.recall(key.hash),
            };
        if is_main { self.ring(Which::Main) } else { small }
    }

    /// Sees to it that one more entry, or the same with more bytes, is within the limits. `false` if entries may
    /// have gone for it.
    fn has_place(
        &self,
        draft: &Draft<'_>,
        entry: Option<Entry>,
        granules: u64,
        clock: impl Clock,
    ) -> Result<bool, Refused> {
        if self.is_within(draft, entry, granules) {
            return Ok(true);
        }
        if self.core.geometry.sizes.evict {
            self.sweep_some(clock)?;
            if !self.is_within(draft, entry, granules) {
                self.evict_one(clock)?;
            }
            return Ok(false);
        }
        self.sweep_all(clock)?;
        if self.is_within(draft, self.find(&draft.key), granules) { Ok(false) } else { Err(Refused::Full) }
    }

    fn is_within(&self, draft: &Draft<'_>, entry: Option<Entry>, granules: u64) -> bool {
        let sizes = &self.core.geometry.sizes;
        // Adding up all shards only where this one has its share.
        let is_one_more = entry.is_none() && !draft.key.is_load;
        let share = u64::from(sizes.entries / sizes.shards);
        if is_one_more && self.load(ENTRIES) >= share && self.core.entries() >= u64::from(sizes.entries) {
            return false;
        }
        if sizes.evict {
            return true;
        }
        let main = self.ring(Which::Main);
        let freed =
            entry.filter(|entry| self.counts(&entry.record)).map_or(0, |entry| entry.record.granules());
        let others = self.live(&main).saturating_sub(freed);
        others == 0 || others + granules <= self.most_live(&main, granules)
    }

    /// Removes the entry of a key; tells whether there was a valid one.
    pub(crate) fn remove(&self, key: &Key<'_>, clock: impl Clock) -> bool {
        self.end_load_of(key);
        let Some(entry) = self.find(key) else { return false };
        let was_valid = self.core.is_valid(&entry.record, clock);
        self.drop(&entry);
        was_valid
    }

    /// What is written or removed while it is loaded wins over what is loaded.
    #[inline]
    fn end_load_of(&self, key: &Key<'_>) {
        if self.load(LOADS) > 0 && !key.is_load {
            self.drop_load(key);
        }
    }

    #[cold]
    fn drop_load(&self, key: &Key<'_>) {
        if let Some(load) = self.find(&key.load()) {
            self.drop(&load);
        }
    }

    /// Sets when an entry expires; tells whether there is one. `buffer` is room for a value.
    pub(crate) fn touch(
        &self,
        key: &Key<'_>,
        expires: Option<u64>,
        buffer: &mut Vec<u8>,
        clock: impl Clock,
    ) -> Result<bool, Refused> {
        let Some(entry) = self.find_valid(key, clock) else { return Ok(false) };
        let record = &entry.record;
        match record.expires_at() {
            Some(at) => {
                self.note_expiry(expires);
                self.core.memory.long(at).store(expires.unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            None if expires.is_none() => {}
            None => {
                // It has no place for the time.
                let tags: Vec<u64> =
                    record.tags().map(|at| self.core.memory.long(at).load(Ordering::Relaxed)).collect();
                buffer.clear();
                buffer.resize(record.length, 0);
                self.core.memory.read(record.value_at(), buffer);
                let (encoding, value) = (record.encoding(), &buffer[..]);
                let draft = Draft { key: *key, value, encoding, expires, tags: &tags };
                self.write(&draft, Some(entry), clock)?;
            }
        }
        Ok(true)
    }

    /// Adds to a number, in its place; one that there is not is 0 and expires then.
    pub(crate) fn increment(
        &self,
        key: &Key<'_>,
        by: f64,
        expires: Option<u64>,
        clock: impl Clock,
    ) -> Result<Counted, Refused> {
        let is_safe = |number: f64| number.trunc() == number && number.abs() <= MOST;
        let entry = self.find_valid(key, clock);
        let Some(Entry { record, place, slot, .. }) = entry else {
            if !is_safe(by) {
                return Err(Refused::NotANumber);
            }
            let value = by.to_le_bytes();
            self.put(
                &Draft { key: *key, value: &value, encoding: NUMBER, expires, tags: &[] },
                If::Always,
                clock,
            )?;
            return Ok(Counted { value: by, expires });
        };
        // A shorter value may lie at the end of the memory.
        if record.encoding() != NUMBER || record.length != 8 {
            return Err(Refused::NotANumber);
        }
        let number = self.core.memory.long(record.value_at());
        let old = f64::from_bits(number.load(Ordering::Relaxed));
        let value = old + by;
        if ![old, by, value].into_iter().all(is_safe) {
            return Err(Refused::NotANumber);
        }
        self.store(COUNTING, slot);
        fault::step();
        if Rule::VersionLast.is_left_out() {
            self.set_version(&record);
        }
        number.store(value.to_bits(), Ordering::Release);
        fault::step();
        // After the number: who reads a version, and then the number, has no older one.
        if !Rule::VersionLast.is_left_out() {
            self.set_version(&record);
        }
        fault::step();
        self.store(COUNTING, 0);
        if self.core.geometry.sizes.evict {
            self.core.want(place);
        }
        self.end_load_of(key);
        Ok(Counted { value, expires: self.core.expires(&record) })
    }
}
