//! Finding what has expired, or was invalidated, before its turn at the tail. A sweep goes through the rings from tail
//! to head, a few records a call.

use super::{
    Clock, Damaged,
    layout::shard::{SOONEST, SWEEP, SWEEP_INVALIDATED, SWEEP_SOONEST},
    memory::Memory,
    ring::{Ring, Which, has_passed},
    shard::Shard,
};

/// How many records a call looks at.
const STRIDE: usize = 8;

impl<'a, M: Memory<'a>> Shard<'a, M> {
    /// Whether something has expired or was invalidated that no sweep has found.
    fn has_stale(&self, clock: impl Clock) -> bool {
        let soonest = self.load(SOONEST);
        self.load(SWEEP_INVALIDATED) != u64::from(self.core.invalidations())
            || soonest != 0 && soonest <= clock.now()
    }

    fn is_sweeping(&self) -> bool {
        SWEEP.into_iter().any(|at| self.load(at) != 0)
    }

    /// Looks at a few records, if there is anything to be found.
    pub(crate) fn sweep_some(&self, clock: impl Clock) -> Result<(), Damaged> {
        if !self.is_sweeping() {
            if !self.has_stale(clock) {
                return Ok(());
            }
            self.begin_sweep()?;
        }
        self.sweep_on(STRIDE, clock)
    }

    /// Looks at all records of a map that does not evict, if there is anything to be found.
    pub(crate) fn sweep_all(&self, clock: impl Clock) -> Result<(), Damaged> {
        if self.is_sweeping() || self.has_stale(clock) {
            self.begin_sweep()?;
            self.sweep_on(self.ring(Which::Main).size as usize, clock)?;
        }
        Ok(())
    }

    /// The small ring comes first: what is moved from there to the main ring is then still ahead.
    fn begin_sweep(&self) -> Result<(), Damaged> {
        self.store(SWEEP_INVALIDATED, self.core.invalidations().into());
        self.store(SWEEP_SOONEST, 0);
        self.rings().next().map_or(Ok(()), |first| self.begin_ring(&first))
    }

    fn begin_ring(&self, ring: &Ring) -> Result<(), Damaged> {
        // Plus one: 0 is no sweep.
        self.store(SWEEP[ring.which as usize], self.core.extent(ring)?.tail.wrapping_add(1));
        Ok(())
    }

    fn sweep_on(&self, count: usize, clock: impl Clock) -> Result<(), Damaged> {
        let main = self.ring(Which::Main);
        let ring = self.rings().find(|ring| self.load(SWEEP[ring.which as usize]) != 0).unwrap_or(main);
        let at = SWEEP[ring.which as usize];
        let extent = self.core.extent(&ring)?;
        let mut position = self.load(at).wrapping_sub(1);
        if has_passed(extent.tail, position) || has_passed(position, extent.head) {
            position = extent.tail;
        }
        for _ in 0..count {
            if position == extent.head {
                if ring.which == Which::Small {
                    self.begin_ring(&main)?;
                } else {
                    self.store(SOONEST, self.load(SWEEP_SOONEST));
                }
                self.store(at, 0);
                return Ok(());
            }
            position = self.sweep_at(&ring, position, clock)?;
        }
        self.store(at, position.wrapping_add(1));
        Ok(())
    }

    /// Looks at one record, and gives the position behind it.
    fn sweep_at(&self, ring: &Ring, position: u64, clock: impl Clock) -> Result<u64, Damaged> {
        let record = self.core.record(ring, position).ok_or(Damaged("a record reaches beyond its ring"))?;
        if !record.is_dead() {
            if self.core.is_valid(&record, clock) {
                self.note_sweep(self.core.expires(&record));
            } else if let Some(entry) = self.entry_at(ring, position, &record) {
                self.expire(&entry);
            }
        }
        Ok(ring.behind(position, record.granules()))
    }

    fn note_sweep(&self, expires: Option<u64>) {
        let Some(expires) = expires else { return };
        let known = self.load(SWEEP_SOONEST);
        if known == 0 || expires < known {
            self.store(SWEEP_SOONEST, expires);
        }
    }
}
