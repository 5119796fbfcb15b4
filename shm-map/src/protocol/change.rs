//! Changes a slot together with the numbers of the entries. The process that takes over from a dead owner finds both
//! changed, or neither, and need not go through the records. For this, the shard says which slot will be changed, and
//! what the numbers will be, before the slot is changed.
//!
//! The order of the stores is all that counts: each of them is a release, and so comes after those before it.

use super::{
    index::Place,
    layout::{
        bucket::SLOTS,
        shard::{CHANGED, CHANGING, ENTRIES, LIVE, LOADS, NEXT},
    },
    memory::{Memory, Ordering},
    record::Record,
    ring::Ring,
    shard::{Entry, Shard},
};
use shm_lifetime::fault;

/// How the process that takes over finds out whether a slot was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It held this value, and holds another one. (Once it is free, a writer of another shard may take it.)
    Left(u64),
    /// It was free, and holds this value.
    Taken(u64),
}

/// The numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) entries: u32,
    pub(crate) loads: u32,
    pub(crate) live: [u32; 2],
}

impl Numbers {
    fn count(&mut self, ring: &Ring, record: &Record, by: i32) {
        let live = &mut self.live[ring.which as usize];
        *live = live.saturating_add_signed(record.granules() as i32 * by);
        let count = if record.is_load() { &mut self.loads } else { &mut self.entries };
        *count = count.saturating_add_signed(by);
    }
}

/// A change in progress: the numbers after it, unless they stay as they are, as where an entry is replaced by one of its
/// size. Then the shard says nothing, and the cache line in which it would do so stays with the readers.
#[derive(Debug)]
#[must_use = "`end_change` writes the numbers"]
pub(crate) struct Change(Option<Numbers>);

impl<'a, M: Memory<'a>> Shard<'a, M> {
    fn store_in_order(&self, offset: usize, value: u64) {
        self.core.memory.long(self.at + offset).store(value, Ordering::Release);
    }

    fn numbers(&self) -> Numbers {
        let number = |at| self.load(at) as u32;
        Numbers { entries: number(ENTRIES), loads: number(LOADS), live: LIVE.map(number) }
    }

    /// What will change: slots no longer point to `from`, but to `to`.
    #[inline]
    pub(crate) fn change(&self, from: Option<&Entry>, to: Option<(&Ring, &Record)>) -> Change {
        let before = self.numbers();
        let mut numbers = before;
        if let Some(Entry { ring, record, .. }) = from.filter(|entry| self.counts(&entry.record)) {
            numbers.count(ring, record, -1);
        }
        if let Some((ring, record)) = to.filter(|(_, record)| self.counts(record)) {
            numbers.count(ring, record, 1);
        }
        Change((numbers != before).then_some(numbers))
    }

    /// Says which slot is about to be changed.
    #[inline]
    pub(crate) fn begin_change(&self, change: &Change, place: Place, sign: Sign) {
        let Change(Some(Numbers { entries, loads, live })) = change else { return };
        let both = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let (value, is_taken) = match sign {
            Sign::Left(value) => (value, false),
            Sign::Taken(value) => (value, true),
        };
        // Not before the last change has ended.
        self.store_in_order(NEXT[0], both(*entries, *loads));
        self.store_in_order(NEXT[1], both(live[0], live[1]));
        self.store_in_order(CHANGED, value);
        let place = u64::from(place.bucket) << 8 | (place.slot as u64) << 2;
        self.store_in_order(CHANGING, place | u64::from(is_taken) << 1 | 1);
        fault::step();
    }

    /// The slot is changed: now the numbers.
    pub(crate) fn end_change(&self, change: Change) {
        if let Change(Some(numbers)) = change {
            self.store_numbers(&numbers);
            self.forget_change();
            fault::step();
        }
    }

    fn store_numbers(&self, numbers: &Numbers) {
        self.store_in_order(ENTRIES, numbers.entries.into());
        fault::step();
        self.store_in_order(LOADS, numbers.loads.into());
        for (at, live) in LIVE.into_iter().zip(numbers.live) {
            fault::step();
            self.store_in_order(at, live.into());
        }
    }

    /// No slot is being changed.
    pub(crate) fn forget_change(&self) {
        self.store_in_order(CHANGING, 0);
    }

    /// Ends the change that a dead owner had begun. If this process also dies, the next one ends it.
    pub(crate) fn finish_change(&self) {
        let changing = self.load(CHANGING);
        let (bucket, slot) = ((changing >> 8) as u32, (changing >> 2) as usize & 0x3f);
        // Others may have written anything there.
        if changing & 1 == 0 || bucket >= self.core.geometry.sizes.buckets || slot >= SLOTS {
            return;
        }
        let (found, value) = (self.core.slot(bucket, slot).load(Ordering::Relaxed), self.load(CHANGED));
        let is_changed = if changing & 2 == 0 { found != value } else { found == value };
        if is_changed {
            let [first, second] = NEXT.map(|at| self.load(at));
            let halves = |both: u64| [both as u32, (both >> 32) as u32];
            let ([entries, loads], live) = (halves(first), halves(second));
            self.store_numbers(&Numbers { entries, loads, live });
        }
        self.forget_change();
    }
}
