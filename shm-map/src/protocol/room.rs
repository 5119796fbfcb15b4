//! Making room in a ring: the tail passes what is garbage, and moves or evicts what is not.
//!
//! A cache evicts after S3-FIFO: a new entry is tried out in the small ring, and moves to the main ring if it was
//! wanted there; an entry of the main ring goes round again as often as it was wanted, three times at most. While less
//! than four fifths of the main ring are live, nothing is evicted. A map that keeps what it has only moves.
//!
//! The work is paced. While there is garbage to be found, a sixteenth of the ring is kept free: a writer that finds
//! less moves sixteen times as much as it writes, so that the longest run of live records has been passed before the
//! room is needed.

use super::{
    Clock, Damaged, Refused,
    layout::{
        record::GRANULE,
        shard::{ENTRIES, EVICTIONS, LARGEST},
    },
    memory::{Memory, Ordering},
    ring::{Extent, Ring, Which},
    shard::{Entry, Shard},
};

/// How much of what it is given one call may move, in granules for each granule that it writes.
const PACE: u64 = 16;
/// As much in any case.
const LEAST_PACE: u64 = 64;

/// What a call may still spend on moving.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(u64);

impl Budget {
    pub(crate) const fn for_granules(granules: u64) -> Self {
        Self(granules * PACE + LEAST_PACE)
    }

    const fn is_spent(&self) -> bool {
        self.0 == 0
    }

    const fn spend(&mut self, granules: u64) {
        self.0 = self.0.saturating_sub(granules);
    }
}

/// Why the tail moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// There is too little room at the head. Where the main ring has room, what would be evicted stays.
    Room,
    /// There are too many entries.
    Eviction,
}

impl<'a, M: Memory<'a>> Shard<'a, M> {
    fn keeps(&self) -> bool {
        !self.core.geometry.sizes.evict
    }

    /// Whether a ring has so much garbage that nothing is evicted for `granules` more.
    fn is_roomy(&self, ring: &Ring, granules: u64) -> bool {
        self.live(ring) + granules <= ring.size / 5 * 4
    }

    /// How many granules may be live in a ring of a map that keeps them: there is room to move the largest.
    pub(crate) fn most_live(&self, ring: &Ring, granules: u64) -> u64 {
        let largest = self.load(LARGEST).max(granules);
        (ring.size / 5 * 4).min(ring.size.saturating_sub(largest.saturating_mul(3)))
    }

    /// How much has to be free in a ring for `granules` to be written: what is moved later needs room too, and a map
    /// that keeps what it has cannot do without.
    fn need(&self, ring: &Ring, extent: &Extent, granules: u64) -> u64 {
        let reserve = self.load(LARGEST).max(granules).saturating_mul(2);
        let reserve = match self.keeps() {
            true if self.live(ring) == 0 => 0,
            // Others may have written any number there.
            true => reserve.min(ring.size),
            false => reserve.min(ring.size / 16),
        };
        granules + filler(ring, extent, granules) + reserve
    }

    /// Begins to fetch what writing so many granules needs beside the entry: the bytes behind the head and behind the
    /// tail of each ring. So these come while the entry is looked for.
    pub(crate) fn prefetch(&self, granules: u64) {
        const LINE: usize = 64;
        let bytes = (granules as usize * GRANULE).min(4 * LINE);
        for ring in self.rings() {
            for end in [ring.head, ring.tail] {
                let position = self.core.memory.long(end).load(Ordering::Relaxed);
                if let Some(place) = ring.place(position, granules) {
                    (place..place + bytes).step_by(LINE).for_each(|line| self.core.memory.prefetch(line));
                }
            }
        }
    }

    /// Makes room for `granules` at the head of a ring. Tells whether entries may have moved.
    pub(crate) fn make_room(
        &self,
        ring: &Ring,
        granules: u64,
        budget: &mut Budget,
        clock: impl Clock,
    ) -> Result<bool, Refused> {
        // The tail moves by a granule at least. It passes everything once, and what was moved meanwhile once more.
        for turn in 0..2 * ring.size {
            let extent = self.core.extent(ring)?;
            let need = self.need(ring, &extent, granules);
            let has_garbage = self.is_roomy(ring, 0) && ring.which == Which::Main;
            let wanted = need + if has_garbage && !budget.is_spent() { ring.size / 16 } else { 0 };
            if extent.free >= wanted {
                return Ok(turn > 0);
            }
            if extent.head == extent.tail {
                return Err(Refused::Full);
            }
            self.pass(ring, &extent, budget, Aim::Room, clock)?;
        }
        Err(Refused::Full)
    }

    /// Evicts one entry, unless it finds one that is not valid any more. As in a cache without room, the small ring has
    /// a tenth of what is live.
    pub(crate) fn evict_one(&self, clock: impl Clock) -> Result<(), Refused> {
        let [small, main] = [Which::Small, Which::Main].map(|which| self.ring(which));
        let (before, mut budget) = (self.load(ENTRIES), Budget::for_granules(0));
        // Each turn the tail of one of them moves by a granule at least.
        for _ in 0..small.size + main.size {
            let (tried, kept) = (self.live(&small), self.live(&main));
            let order = if tried * 9 >= kept { [small, main] } else { [main, small] };
            let extents = order.map(|ring| self.core.extent(&ring).map(|extent| (ring, extent)));
            let [first, second] = extents;
            let is_filled = |(_, extent): &(Ring, Extent)| extent.head != extent.tail;
            let Some((ring, extent)) = [first?, second?].into_iter().find(is_filled) else { break };
            self.pass(&ring, &extent, &mut budget, Aim::Eviction, clock)?;
            if self.load(ENTRIES) < before {
                break;
            }
        }
        Ok(())
    }

    /// The tail passes one record.
    fn pass(
        &self,
        ring: &Ring,
        extent: &Extent,
        budget: &mut Budget,
        aim: Aim,
        clock: impl Clock,
    ) -> Result<(), Refused> {
        let damaged = Damaged("a record reaches beyond its ring");
        let record = self.core.record(ring, extent.tail).ok_or(damaged)?;
        if let Some(entry) = self.entry_at(ring, extent.tail, &record) {
            if !self.core.is_valid(&record, clock) {
                self.expire(&entry);
            } else if !self.carry(&entry, extent, budget, aim, clock)? {
                self.evict(&entry);
            }
        }
        // Not before: one who has spent it all evicts, and comes here only where the room is needed now.
        budget.spend(1);
        self.move_tail(ring, ring.behind(extent.tail, record.granules()));
        Ok(())
    }

    /// Moves an entry from the tail to where it stays, if it may stay.
    fn carry(
        &self,
        entry: &Entry,
        extent: &Extent,
        budget: &mut Budget,
        aim: Aim,
        clock: impl Clock,
    ) -> Result<bool, Refused> {
        let granules = entry.record.granules();
        let frequency = self.core.frequency(entry.place);
        // A load is not evicted before what nobody wants: nobody can read it, and its result would not be stored.
        let wanted = if entry.record.is_load() { 1 } else { frequency.load(Ordering::Relaxed) };
        let main = self.ring(Which::Main);
        if entry.ring.which == Which::Small {
            let extent = self.core.extent(&main)?;
            let has_room =
                || self.is_roomy(&main, granules) || extent.free >= self.need(&main, &extent, granules);
            let is_evicted = match aim {
                Aim::Room => wanted == 0 && !has_room(),
                Aim::Eviction => wanted == 0 || budget.is_spent(),
            };
            if is_evicted {
                return Ok(false);
            }
            match self.make_room(&main, granules, budget, clock) {
                Err(Refused::Full) => return Ok(false),
                made => made?,
            };
            frequency.store(0, Ordering::Relaxed);
        } else {
            let roomy = aim == Aim::Room && self.is_roomy(&main, 0);
            let fits = extent.free >= granules + filler(&main, extent, granules);
            if self.keeps() {
                if !fits {
                    return Err(Refused::Full);
                }
            } else if !fits || budget.is_spent() || !(roomy || wanted > 0) {
                return Ok(false);
            }
            if !roomy && wanted > 0 {
                frequency.store(wanted - 1, Ordering::Relaxed);
            }
        }
        budget.spend(granules);
        self.move_entry(entry, &main)?;
        Ok(true)
    }

    fn evict(&self, entry: &Entry) {
        if entry.ring.which == Which::Small && !entry.record.is_load() {
            self.remember(entry.record.hash);
        }
        self.drop(entry);
        self.add(EVICTIONS, u64::from(!entry.record.is_load()));
    }
}

/// How many granules are left over before the end of the lap, where a record does not fit before it.
const fn filler(ring: &Ring, extent: &Extent, granules: u64) -> u64 {
    let rest = ring.rest(extent.head);
    if rest < granules { rest } else { 0 }
}
