//! The statistics of a map.

use crate::protocol::{count::Counts, geometry::Sizes, layout::record::GRANULE};

/// The sums over all processes since the map was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of entries. It may include entries that have expired or were invalidated.
    pub entries: u64,
    /// The size of the map in bytes.
    pub memory: u64,
    /// How many bytes of it the entries take, with their headers and keys.
    pub used: u64,
    /// How often an entry was written.
    pub sets: u64,
    /// How many entries were evicted to make room.
    pub evictions: u64,
    /// How many entries were removed because they had expired, or were invalidated or cleared.
    pub expired: u64,
    /// How often an entry was moved to make room.
    pub moves: u64,
    /// How many lookups found an entry.
    pub hits: u64,
    /// How many lookups found none.
    pub misses: u64,
    /// How often a writer was killed while it wrote.
    pub owners_died: u64,
}

impl Stats {
    pub(crate) const fn of(counts: Counts, sizes: &Sizes) -> Self {
        let Counts { entries, live, sets, evictions, expired, moves, hits, misses, owners_died } = counts;
        let (memory, used) = (sizes.memory, live.wrapping_mul(GRANULE as u64));
        Self { entries, memory, used, sets, evictions, expired, moves, hits, misses, owners_died }
    }
}
