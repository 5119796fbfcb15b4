//! The options of a map and of an entry.

use crate::MapError;
use crate::protocol::{
    geometry::{GHOST_BUCKET, MAX_SHARDS, MIN_RING, Sizes},
    layout::{bucket, header, record, shard},
};
use std::time::Duration;

/// The options of a map. All but the memory have a default. A process that opens an existing map passes the values it
/// was created with, or leaves them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapOptions {
    /// The size of the whole map in bytes, with its index: at least 32 KiB.
    pub memory: Option<u64>,
    /// The number of keys for which the index always has room. Default: one for each 160 bytes of memory.
    pub entries: Option<u32>,
    /// The number of parts. Each part has one writer at a time. A power of two, 1 to 1024. Default: up to 16, of at
    /// least 512 KiB each; more from 256 MiB on.
    pub shards: Option<u32>,
    /// Whether the map evicts entries to make room for new ones. Default: yes.
    pub evict: Option<bool>,
    /// The longest value in bytes: at most a quarter of a shard's main ring. That is the default of a cache. A map that
    /// does not evict needs room to move its largest entry, so its default is half of that.
    pub max_value: Option<u32>,
    /// The number of tags that the map can distinguish. Default: 4096, and less if the memory is less than 1 MiB.
    pub tag_slots: Option<u32>,
}

/// The smallest map, in bytes.
const LEAST: u64 = 32 << 10;
/// The largest.
const MOST: u64 = 1 << 44;
/// How many of ten granules are a cache's small ring.
const SMALL_SHARE: u64 = 10;
/// For how many keys of each shard the index has room at least. Hardly any shard has none of so many.
const KEYS_OF_A_SHARD: u32 = 16;

impl MapOptions {
    /// The most [`shards`](Self::shards).
    pub const MAX_SHARDS: u32 = MAX_SHARDS;

    /// A map of `memory` bytes, with all defaults.
    pub fn new(memory: u64) -> Self {
        Self { memory: Some(memory), ..Self::default() }
    }

    /// The sizes of a map with these options.
    pub(crate) fn sizes(&self) -> Result<Sizes, MapError> {
        let memory = self.memory.unwrap_or(0);
        check("memory", memory, LEAST..=MOST)?;
        let entries = self.entries.unwrap_or_else(|| u32::try_from(memory / 160).unwrap_or(u32::MAX));
        check("entries", entries.into(), 1..=u32::MAX.into())?;
        let shards = self.shards.unwrap_or_else(|| default_shards(memory));
        if !shards.is_power_of_two() || shards > MAX_SHARDS {
            let must = format!("a power of two, 1 to {MAX_SHARDS}");
            return Err(MapError::OutOfRange { option: "shards", value: shards.into(), must });
        }
        let tag_slots = self.tag_slots.unwrap_or_else(|| (memory / 256).clamp(64, 4096) as u32);
        check("tag_slots", tag_slots.into(), 1..=1 << 24)?;
        let evict = self.evict.unwrap_or(true);

        // One slot in ten stays free, so that a free one is found soon. Few entries get slots for their shards too: a
        // shard that has no entry cannot evict one, and needs a free slot.
        let keys = entries.max(shards * KEYS_OF_A_SHARD);
        let buckets = u64::from(keys).saturating_mul(10).div_ceil(9 * bucket::SLOTS as u64);
        let ways = GHOST_BUCKET / 4;
        let ghosts = if evict { u64::from(entries).div_ceil(u64::from(shards) * ways) } else { 0 };
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mut sizes = Sizes {
            memory,
            entries,
            shards,
            evict,
            max_value: 0,
            tag_slots,
            buckets: narrow(buckets).max(2),
            small: 0,
            main: 0,
            ghosts: narrow(ghosts),
        };
        let ring = memory.saturating_sub(sizes.rings_at()) / record::GRANULE as u64 / u64::from(shards);
        let small = if evict { ring / SMALL_SHARE } else { 0 };
        // One less: the header has it plus one.
        (sizes.small, sizes.main) = (narrow(small).min(u32::MAX - 1), narrow(ring - small));
        if sizes.main < MIN_RING || (evict && sizes.small < MIN_RING / 16) {
            let least =
                sizes.rings_at() + u64::from(shards) * u64::from(MIN_RING) * record::GRANULE as u64 * 10 / 9;
            let must = format!("{} at least, for so many entries and shards", least + 4096);
            return Err(MapError::OutOfRange { option: "memory", value: memory, must });
        }
        let most = sizes.main.saturating_mul(record::GRANULE as u32 / 4);
        sizes.max_value = self.max_value.unwrap_or(if evict { most } else { most / 2 });
        check("max_value", sizes.max_value.into(), 1..=most.into())?;
        Ok(sizes)
    }

    /// An error if the map was created with another value of one of these options.
    pub(crate) fn check(&self, sizes: &Sizes) -> Result<(), MapError> {
        let differs = |option, wanted: Option<u64>, found: u64| match wanted {
            Some(wanted) if wanted != found => Err(MapError::Options { option, found, wanted }),
            _ => Ok(()),
        };
        differs("memory", self.memory, sizes.memory)?;
        differs("entries", self.entries.map(u64::from), sizes.entries.into())?;
        differs("shards", self.shards.map(u64::from), sizes.shards.into())?;
        differs("evict", self.evict.map(u64::from), sizes.evict.into())?;
        differs("max_value", self.max_value.map(u64::from), sizes.max_value.into())?;
        differs("tag_slots", self.tag_slots.map(u64::from), sizes.tag_slots.into())
    }

    /// The options of a map with these sizes.
    pub(crate) const fn of(sizes: &Sizes) -> Self {
        Self {
            memory: Some(sizes.memory),
            entries: Some(sizes.entries),
            shards: Some(sizes.shards),
            evict: Some(sizes.evict),
            max_value: Some(sizes.max_value),
            tag_slots: Some(sizes.tag_slots),
        }
    }

    /// How many bytes of memory are enough for `entries` entries, with keys of `key` bytes and values of `value` bytes.
    /// A time to live takes 8 bytes more in each entry, and so does a tag.
    ///
    /// The map has the default number of shards then. Each shard has room for several entries, so for long values
    /// choose fewer shards: see [`memory_for_shards`](Self::memory_for_shards).
    ///
    /// ```
    /// let memory = shm_map::MapOptions::memory_for(100_000, 16, 100);
    /// assert!(memory < 100_000 * (16 + 100) * 2);
    /// ```
    pub fn memory_for(entries: u32, key: usize, value: usize) -> u64 {
        // The number of shards depends on the memory, and the memory on the number of shards.
        let mut shards = 1;
        loop {
            let memory = Self::memory_for_shards(shards, entries, key, value);
            if default_shards(memory) <= shards {
                return memory;
            }
            shards *= 2;
        }
    }

    /// As [`memory_for`](Self::memory_for), for a map with [`shards`](Self::shards).
    ///
    /// ```
    /// let memory = shm_map::MapOptions::memory_for_shards(1, 100, 16, 5_000_000);
    /// assert!(memory < 100 * 5_000_000 * 3 / 2);
    /// ```
    pub fn memory_for_shards(shards: u32, entries: u32, key: usize, value: usize) -> u64 {
        // As wide as the product of all is.
        let (key, value, count) = (key as u128, value as u128, u128::from(entries));
        let granule = record::GRANULE as u128;
        let record = (key.next_multiple_of(8) + record::KEY as u128 + value).next_multiple_of(granule);
        let shards = u128::from(shards.max(1));
        // Some shards get more than others: four times the standard deviation, and one of few entries more than that.
        let share = count.div_ceil(shards);
        let share = if shards == 1 { share } else { count.min(share + 4 * (share.isqrt() + 1) + 1) };
        // Four fifths of a ring may be live, there is room to move a few of the largest, and the longest value is an
        // eighth.
        let ring = (share * record * 5).div_ceil(4).max(share * record + 4 * record).max(8 * record);
        let ring = ring.max(u128::from(MIN_RING) * granule) * 10 / 9 + 64;
        let index = count * 10 / 9 * bucket::SIZE as u128 / bucket::SLOTS as u128 + count * 4 + 4096;
        let fixed = header::TAGS as u128 + 4 * 4096 + shards * shard::SIZE as u128;
        u64::try_from(fixed + index + shards * ring).unwrap_or(u64::MAX).max(LEAST)
    }
}

fn default_shards(memory: u64) -> u32 {
    let (count, most) =
        if memory < 256 << 20 { (memory / (512 << 10), 16) } else { (memory / (16 << 20), MAX_SHARDS) };
    1 << count.clamp(1, most.into()).ilog2()
}

fn check(option: &'static str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<(), MapError> {
    if range.contains(&value) {
        return Ok(());
    }
    let must = format!("{} to {}", range.start(), range.end());
    Err(MapError::OutOfRange { option, value, must })
}

/// The options of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntryOptions<'o> {
    /// How long the entry is valid. Default: until it is removed.
    pub ttl: Option<Duration>,
    /// Tags by which the entry can be invalidated: at most 128.
    pub tags: &'o [&'o str],
    /// The encoding of the value: a number whose meaning the program defines. [`NUMBER`] is reserved for numbers.
    pub encoding: u8,
}

/// The encoding of a number: a double of eight bytes, little-endian. [`Map::increment`](crate::Map::increment) reads
/// and writes these.
pub const NUMBER: u8 = crate::protocol::writer::NUMBER;
