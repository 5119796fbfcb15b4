//! A shard, as the owner of its mutex sees it.
//!
//! A process that dies in here leaves nothing to repair: a record that no slot points to is garbage that the tail
//! passes. Only the change of a slot and of the numbers has to be ended ([`Shard::recover`]).

use super::{
    Clock, Core, Damaged, Refused,
    change::Sign,
    geometry::{Key, tag},
    index::Place,
    layout::{
        bucket::SLOTS,
        shard::{
            COUNTING, ENTRIES, EXPIRED, GENERATION, LARGEST, LIVE, LOADS, MOVES, OWNERS_DIED, SOONEST,
            SWEEP_SOONEST, VERSION,
        },
        slot::TAG,
    },
    memory::{Memory, Ordering, fence},
    record::Record,
    ring::{Ring, Which},
    rules::Rule,
};
use shm_lifetime::fault;

/// A shard whose mutex the caller holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard<'a, M> {
    pub(crate) core: Core<'a, M>,
    pub(crate) number: u32,
    pub(crate) at: usize,
}

/// An entry of the shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) ring: Ring,
    pub(crate) place: Place,
    pub(crate) slot: u64,
    pub(crate) record: Record,
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// A shard. The caller holds its mutex from now on, and until it is done with the result.
    pub(crate) fn shard(self, number: u32) -> Shard<'a, M> {
        let shard = Shard { core: self, number, at: self.geometry.shard(number) };
        shard.catch_up();
        shard
    }
}

impl<'a, M: Memory<'a>> Shard<'a, M> {
    // Relaxed: the mutex orders them.
    #[inline]
    pub(crate) fn load(&self, offset: usize) -> u64 {
        self.core.memory.long(self.at + offset).load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn store(&self, offset: usize, value: u64) {
        self.core.memory.long(self.at + offset).store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, offset: usize, count: u64) {
        self.store(offset, self.load(offset).wrapping_add(count));
    }

    pub(crate) fn ring(&self, which: Which) -> Ring {
        self.core.geometry.ring(self.number, which)
    }

    pub(crate) fn rings(&self) -> impl Iterator<Item = Ring> + use<'a, M> {
        let evicts = self.core.geometry.sizes.evict;
        let which = if evicts { &[Which::Small, Which::Main][..] } else { &[Which::Main] };
        let shard = *self;
        which.iter().map(move |which| shard.ring(*which))
    }

    /// After a clearing there is nothing. The owner that clears may die before it comes to this shard, or not get its
    /// mutex. So the next one does it.
    fn catch_up(&self) {
        let generation = u64::from(self.core.generation());
        if self.load(GENERATION) != generation {
            self.drop_all(generation);
        }
    }

    #[cold]
    fn drop_all(&self, generation: u64) {
        // A change that a dead owner was at is of an earlier generation. So are all entries.
        self.forget_change();
        for ring in self.rings() {
            // Damage is told by the call that comes upon it.
            _ = self.walk(&ring, |entry| self.expire(entry));
        }
        [ENTRIES, LIVE[0], LIVE[1], LOADS, LARGEST].into_iter().for_each(|count| self.store(count, 0));
        fault::step();
        // Last: if this process dies before, the next owner begins anew.
        self.store(GENERATION, generation);
    }

    pub(crate) fn generation(&self) -> u32 {
        self.load(GENERATION) as u32
    }

    /// The owner before died: its numbers may be half-changed.
    pub(crate) fn recover(&self) {
        self.add(OWNERS_DIED, 1);
        self.finish_counting();
        self.finish_change();
    }

    /// One who dies between the number and the version of a counter has changed the one without the other: a version
    /// stands for one value.
    fn finish_counting(&self) {
        let slot = self.load(COUNTING);
        if slot != 0 {
            // Others may have written anything there.
            let record = self.core.record(&self.ring(Which::of(slot)), slot);
            if let Some(record) = record.filter(|record| !record.is_skip()) {
                self.set_version(&record);
            }
            self.store(COUNTING, 0);
        }
    }

    /// Visits the entries of a ring, from the oldest on.
    pub(crate) fn walk(&self, ring: &Ring, mut visit: impl FnMut(&Entry)) -> Result<(), Damaged> {
        let extent = self.core.extent(ring)?;
        let mut position = extent.tail;
        // A record has a granule at least.
        for _ in 0..ring.size {
            if position == extent.head {
                return Ok(());
            }
            let record =
                self.core.record(ring, position).ok_or(Damaged("a record reaches beyond its ring"))?;
            if let Some(entry) = self.entry_at(ring, position, &record) {
                visit(&entry);
            }
            position = ring.behind(position, record.granules());
        }
        if position == extent.head { Ok(()) } else { Err(Damaged("a ring's records do not end at its head")) }
    }

    /// The entry that a record at a position is; `None` if it is garbage.
    pub(crate) fn entry_at(&self, ring: &Ring, position: u64, record: &Record) -> Option<Entry> {
        if record.is_dead() {
            return None;
        }
        let slot = ring.slot(tag(record.hash), position);
        let place = self.core.find_slot(record.hash, slot)?;
        Some(Entry { ring: *ring, place, slot, record: *record })
    }

    /// The entry of a key, valid or not.
    pub(crate) fn find(&self, key: &Key<'_>) -> Option<Entry> {
        let mut path = self.core.path(key.hash);
        let tag = tag(key.hash);
        while let Some(bucket) = self.core.next_bucket(&mut path) {
            for number in 0..SLOTS {
                // A slot with this tag is of this shard, and so only we change it.
                let slot = self.core.slot(bucket, number).load(Ordering::Relaxed);
                if slot & TAG != tag {
                    continue;
                }
                let ring = self.ring(Which::of(slot));
                if let Some(record) = self.core.record_of(&ring, slot, key) {
                    let place = Core::<M>::place(bucket, number, &path);
                    return Some(Entry { ring, place, slot, record });
                }
            }
        }
        None
    }

    /// The entry of a key, if it is valid.
    pub(crate) fn find_valid(&self, key: &Key<'_>, clock: impl Clock) -> Option<Entry> {
        self.find(key).filter(|entry| self.core.is_valid(&entry.record, clock))
    }

    pub(crate) fn next_version(&self) -> u64 {
        let version = self.load(VERSION).wrapping_add(1);
        self.store(VERSION, version);
        version
    }

    /// Whether the shard's numbers count the entry.
    pub(crate) fn counts(&self, record: &Record) -> bool {
        record.generation == self.generation()
    }

    /// How many granules of a ring are live.
    pub(crate) fn live(&self, ring: &Ring) -> u64 {
        self.load(LIVE[ring.which as usize]).min(ring.size)
    }

    /// Removes an entry.
    pub(crate) fn drop(&self, entry: &Entry) {
        let change = self.change(Some(entry), None);
        self.begin_change(&change, entry.place, Sign::Left(entry.slot));
        self.core.free(entry.record.hash, entry.place);
        fault::step();
        self.core.mark_dead(&entry.record);
        self.end_change(change);
    }

    /// Removes an entry that is not valid any more.
    pub(crate) fn expire(&self, entry: &Entry) {
        self.drop(entry);
        self.add(EXPIRED, u64::from(!entry.record.is_load()));
    }

    /// The place and position of `granules` at the head, for which there is room.
    pub(crate) fn at_head(&self, ring: &Ring, granules: u64) -> Result<(usize, u64), Refused> {
        let extent = self.core.extent(ring)?;
        let rest = ring.rest(extent.head);
        let mut head = extent.head;
        if rest < granules {
            let place = ring.place(head, rest).ok_or(Refused::Full)?;
            self.core.write_skip(place, rest);
            fault::step();
            head = ring.behind(head, rest);
            self.core.memory.long(ring.head).store(head, Ordering::Relaxed);
            fault::step();
        }
        let place = ring.place(head, granules).ok_or(Damaged("a record is longer than its ring"))?;
        Ok((place, head))
    }

    /// Moves the head behind a record that was written.
    pub(crate) fn move_head(&self, ring: &Ring, position: u64, granules: u64) {
        fault::step();
        let head = ring.behind(position, granules);
        // Release, so that the owner that takes over from a dead one sees the record's size.
        self.core.memory.long(ring.head).store(head, Ordering::Release);
        fault::step();
    }

    /// Moves the tail behind a record to which no slot points any more.
    pub(crate) fn move_tail(&self, ring: &Ring, position: u64) {
        fault::step();
        // Release: who sees the tail sees that the slot was changed.
        self.core.memory.long(ring.tail).store(position, Ordering::Release);
        // Before the bytes that it frees are written to: who reads one of these then sees this tail, and the slot that
        // was changed before. `Core::is_whole` is the other half.
        if !Rule::TailFirst.is_left_out() {
            fence(Ordering::Release);
        }
        fault::step();
    }

    /// Moves an entry to the head of a ring, in which there is room.
    pub(crate) fn move_entry(&self, entry: &Entry, to: &Ring) -> Result<(), Refused> {
        let granules = entry.record.granules();
        let (place, position) = self.at_head(to, granules)?;
        let bytes = granules as usize * super::layout::record::GRANULE;
        self.core.memory.copy(entry.record.place, place, bytes);
        self.move_head(to, position, granules);
        let slot = to.slot(entry.slot & TAG, position);
        let change = self.change(Some(entry), Some((to, &entry.record)));
        self.begin_change(&change, entry.place, Sign::Left(entry.slot));
        // Release: who sees it sees the copy.
        self.core.slot(entry.place.bucket, entry.place.slot).store(slot, Ordering::Release);
        fault::step();
        self.end_change(change);
        self.add(MOVES, 1);
        self.note_expiry(self.core.expires(&entry.record));
        Ok(())
    }

    /// Something expires then.
    pub(crate) fn note_expiry(&self, expires: Option<u64>) {
        let Some(expires) = expires else { return };
        for soonest in [SOONEST, SWEEP_SOONEST] {
            let known = self.load(soonest);
            if known == 0 || expires < known {
                self.store(soonest, expires);
            }
        }
    }
}
