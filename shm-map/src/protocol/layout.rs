//! Where every word of a map is and what its bits mean, once.
//!
//! `docs/layout.md` says the same for other languages, and a test compares the two (`tests/layout.rs`). Offsets are in
//! bytes. What is here never changes for version 1.

/// The version of the layout, the last byte of the magic.
pub const VERSION: u8 = 1;
/// The word at [`header::MAGIC`]: the bytes `s`, `y`, `H`, the version.
pub const MAGIC: u32 = u32::from_le_bytes([b's', b'y', b'H', VERSION]);

/// From the map's first byte.
pub mod header {
    /// Structure and version. Set last.
    pub const MAGIC: usize = 0;
    /// The id of the live file that the map's users find each other through. Set first.
    pub const LIVE: usize = 4;
    /// The size in bytes, 64 bits.
    pub const MEMORY: usize = 8;
    /// How many keys find a slot, whatever they are.
    pub const ENTRIES: usize = 16;
    /// How many shards there are: a power of two.
    pub const SHARDS: usize = 20;
    /// [`CACHE`], or [`KEEP`].
    pub const KIND: usize = 24;
    /// The longest value in bytes.
    pub const MAX_VALUE: usize = 28;
    /// How many tag slots there are.
    pub const TAG_SLOTS: usize = 32;
    /// How many buckets the index has.
    pub const BUCKETS: usize = 36;
    /// The size of each shard's small ring in granules plus one: 1 where it has none.
    pub const SMALL: usize = 40;
    /// The size of each shard's main ring in granules.
    pub const MAIN: usize = 44;
    /// How many buckets each shard's ghost table has, plus one.
    pub const GHOSTS: usize = 48;
    /// The seed of the hash: 128 bits.
    pub const SEED: usize = 56;
    /// How often the map was cleared, modulo 2^32: the generation that a record must have.
    pub const CLEARED: usize = 128;
    /// The number of invalidations, modulo 2^32: each clearing adds 1, each invalidation of a tag adds 2.
    pub const INVALIDATED: usize = 132;
    /// The lines of counters that readers write to.
    pub const LINES: usize = 256;
    /// How many lines there are.
    pub const LINE_COUNT: usize = 32;
    /// From one line to the next.
    pub const LINE_SIZE: usize = 64;
    /// In a line: how many lookups found something.
    pub const HITS: usize = 0;
    /// In a line: how many found nothing.
    pub const MISSES: usize = 8;
    /// The generations of the tag slots, 32 bits each.
    pub const TAGS: usize = LINES + LINE_COUNT * LINE_SIZE;

    /// The map makes room by eviction.
    pub const CACHE: u32 = 1;
    /// The map keeps what it has.
    pub const KEEP: u32 = 2;
}

/// From a shard's first byte.
pub mod shard {
    /// The mutex of its writers: a structure of its own.
    pub const MUTEX: usize = 0;
    /// How many entries it has.
    pub const ENTRIES: usize = 16;
    /// The version that was given out last.
    pub const VERSION: usize = 24;
    /// How many granules of each ring are live: small, main.
    pub const LIVE: [usize; 2] = [32, 40];
    /// The generation of the map that the numbers are of.
    pub const GENERATION: usize = 48;
    /// The slot of the record whose number is being changed; 0: none.
    pub const COUNTING: usize = 56;
    /// Where the next record goes in each ring: small, main.
    pub const HEADS: [usize; 2] = [64, 72];
    /// The largest record in granules that there has been.
    pub const LARGEST: usize = 80;
    /// When the first of its entries expires, in milliseconds since 1970, or earlier; 0: never.
    pub const SOONEST: usize = 88;
    /// Where the sweep is in each ring, plus one: small, main; 0: it is not there.
    pub const SWEEP: [usize; 2] = [248, 96];
    /// When the first of those expires that the sweep has seen; 0: never.
    pub const SWEEP_SOONEST: usize = 104;
    /// The number of invalidations when the sweep last began anew.
    pub const SWEEP_INVALIDATED: usize = 112;
    /// How many were evicted from the small ring.
    pub const GHOST_CLOCK: usize = 120;
    /// Where the oldest record of each ring is: small, main.
    pub const TAILS: [usize; 2] = [128, 136];
    /// The slot that is being changed: its bucket times 256, its number times 4, 2 if it was free, and 1; 0: none.
    pub const CHANGING: usize = 144;
    /// What that slot held before; if it was free, what it holds afterwards.
    pub const CHANGED: usize = 152;
    /// The numbers after that change, of 32 bits each: entries and loads; live granules of the small and the main ring.
    pub const NEXT: [usize; 2] = [160, 168];
    /// How many records were written.
    pub const SETS: usize = 192;
    /// How many entries were evicted.
    pub const EVICTIONS: usize = 200;
    /// How many were found to have expired, or to be invalid.
    pub const EXPIRED: usize = 208;
    /// How many records were moved.
    pub const MOVES: usize = 216;
    /// How often an owner of the mutex died.
    pub const OWNERS_DIED: usize = 224;
    /// How many loads are under way.
    pub const LOADS: usize = 232;
    /// The word on which those sleep who wait for a load.
    pub const LOADED: usize = 240;
    /// From one shard to the next.
    pub const SIZE: usize = 256;
}

/// A bucket of the index.
pub mod bucket {
    /// How many slots it has; they come first, 64 bits each.
    pub const SLOTS: usize = 7;
    /// A byte for each slot: how often it was wanted, 0 to 3.
    pub const FREQUENCIES: usize = 56;
    /// How many keys had no room in it and lie in buckets behind it; 255: many.
    pub const PASSES: usize = 63;
    /// From one bucket to the next.
    pub const SIZE: usize = 64;
}

/// A slot of the index; 0: free.
pub mod slot {
    /// The record's position, modulo 2^39.
    pub const POSITION: u64 = (1 << 39) - 1;
    /// The record lies in the main ring.
    pub const MAIN: u64 = 1 << 39;
    /// The tag: the upper 24 bits of the hash, or 1 where these are 0.
    pub const TAG: u64 = !((1 << 40) - 1);
}

/// A record: granules of 16 bytes.
pub mod record {
    /// The hash of the key: 32 bits.
    pub const HASH: usize = 0;
    /// What it is: the bits below.
    pub const META: usize = 4;
    /// The value's length in bytes; of what has [`SKIP`]: its granules.
    pub const LENGTH: usize = 8;
    /// The generation of the map.
    pub const GENERATION: usize = 12;
    /// The version: 64 bits.
    pub const VERSION: usize = 16;
    /// The key, filled up with zeros to a multiple of 8.
    pub const KEY: usize = 24;
    /// How long a granule is.
    pub const GRANULE: usize = 16;

    /// In what it is: the key's length in bytes.
    pub const KEY_LENGTH: u32 = (1 << 11) - 1;
    /// In what it is: how many tags it has.
    pub const TAG_COUNT: u32 = 0xff << 11;
    /// In what it is: the encoding of the value, which its users agree on.
    pub const ENCODING: u32 = 0xff << 19;
    /// In what it is: no slot points to it any more. (Not all of those to which none does are marked so.)
    pub const DEAD: u32 = 1 << 28;
    /// In what it is: it expires.
    pub const EXPIRES: u32 = 1 << 29;
    /// In what it is: not an entry, but that somebody loads one.
    pub const LOAD: u32 = 1 << 30;
    /// In what it is: nothing, up to the ring's end.
    pub const SKIP: u32 = 1 << 31;

    /// The longest key.
    pub const MAX_KEY: usize = 1024;
    /// The most tags.
    pub const MAX_TAGS: usize = 128;
}
