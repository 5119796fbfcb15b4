//! Numbers of all processes.

use super::{
    Core,
    layout::{
        header::{HITS, LINE_COUNT, LINE_SIZE, LINES, MISSES},
        shard,
    },
    memory::{Memory, Ordering},
};

/// What the shards and the readers counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) entries: u64,
    /// In granules.
    pub(crate) live: u64,
    pub(crate) sets: u64,
    pub(crate) evictions: u64,
    pub(crate) expired: u64,
    pub(crate) moves: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) owners_died: u64,
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// Counts a lookup in a reader's line.
    #[inline]
    pub(crate) fn count_lookup(&self, line: usize, hit: bool) {
        let at = LINES + line % LINE_COUNT * LINE_SIZE + if hit { HITS } else { MISSES };
        self.memory.long(at).fetch_add(1, Ordering::Relaxed);
    }

    fn sum_of_shards(&self, mut add: impl FnMut(&mut Counts, usize)) -> Counts {
        let mut counts = Counts::default();
        for number in 0..self.geometry.sizes.shards {
            add(&mut counts, self.geometry.shard(number));
        }
        counts
    }

    /// How many entries there are, expired ones among them.
    pub(crate) fn entries(&self) -> u64 {
        let load = |at: usize| self.memory.long(at).load(Ordering::Relaxed);
        let generation = u64::from(self.generation());
        // One whose owner has not seen the last clearing has none.
        let is_of_now = |shard: usize| load(shard + shard::GENERATION) == generation;
        self.sum_of_shards(|counts, shard| {
            if is_of_now(shard) {
                counts.entries = counts.entries.wrapping_add(load(shard + shard::ENTRIES));
            }
        })
        .entries
    }

    pub(crate) fn counts(&self) -> Counts {
        let load = |at: usize| self.memory.long(at).load(Ordering::Relaxed);
        let generation = u64::from(self.generation());
        let mut counts = self.sum_of_shards(|counts, shard| {
            let mut add = |sum: fn(&mut Counts) -> &mut u64, at: usize| {
                let sum = sum(counts);
                *sum = sum.wrapping_add(load(shard + at));
            };
            if load(shard + shard::GENERATION) == generation {
                add(|counts| &mut counts.entries, shard::ENTRIES);
                shard::LIVE.into_iter().for_each(|live| add(|counts| &mut counts.live, live));
            }
            add(|counts| &mut counts.sets, shard::SETS);
            add(|counts| &mut counts.evictions, shard::EVICTIONS);
            add(|counts| &mut counts.expired, shard::EXPIRED);
            add(|counts| &mut counts.moves, shard::MOVES);
            add(|counts| &mut counts.owners_died, shard::OWNERS_DIED);
        });
        for line in (LINES..).step_by(LINE_SIZE).take(LINE_COUNT) {
            counts.hits = counts.hits.wrapping_add(load(line + HITS));
            counts.misses = counts.misses.wrapping_add(load(line + MISSES));
        }
        counts
    }
}
