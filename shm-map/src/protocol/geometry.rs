//! Where the parts of a map are. It is computed once, when the map is opened, and never read from memory again.

use super::{
    Core,
    hash::{Seed, sip},
    layout::{bucket, header, record, shard, slot},
    memory::Memory,
    ring::{Ring, Which},
};

/// The numbers that the header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) memory: u64,
    pub(crate) entries: u32,
    pub(crate) shards: u32,
    pub(crate) evict: bool,
    pub(crate) max_value: u32,
    pub(crate) tag_slots: u32,
    pub(crate) buckets: u32,
    pub(crate) small: u32,
    pub(crate) main: u32,
    pub(crate) ghosts: u32,
}

impl Sizes {
    /// Where the shards begin.
    fn shards_at(&self) -> u64 {
        header::TAGS as u64 + (u64::from(self.tag_slots) * 4).next_multiple_of(64)
    }

    fn ghosts_at(&self) -> u64 {
        self.shards_at() + u64::from(self.shards) * shard::SIZE as u64
    }

    fn ghost_size(&self) -> u64 {
        u64::from(self.ghosts) * GHOST_BUCKET
    }

    fn index_at(&self) -> u64 {
        (self.ghosts_at() + u64::from(self.shards) * self.ghost_size()).next_multiple_of(64)
    }

    /// Where the rings begin.
    pub(crate) fn rings_at(&self) -> u64 {
        self.index_at() + u64::from(self.buckets) * bucket::SIZE as u64
    }

    fn end(&self) -> u64 {
        let granules = u64::from(self.shards) * (u64::from(self.small) + u64::from(self.main));
        self.rings_at() + granules * record::GRANULE as u64
    }

    /// The geometry, if such a map lies within `size` bytes.
    pub(crate) fn geometry(self, seed: Seed, size: usize) -> Option<Geometry> {
        let fits = self.shards.is_power_of_two()
            && self.shards <= MAX_SHARDS
            && self.tag_slots > 0
            && self.buckets > 0
            && self.main >= MIN_RING
            && (self.small == 0 || self.small >= MIN_RING / 16)
            && self.evict == (self.small > 0)
            && u64::from(self.max_value) <= u64::from(self.main) * 4
            && self.end() <= self.memory
            && self.memory <= size as u64;
        fits.then_some(Geometry {
            sizes: self,
            seed,
            shard_shift: 32 - self.shards.trailing_zeros(),
            shards: self.shards_at() as usize,
            ghosts: self.ghosts_at() as usize,
            ghost_size: self.ghost_size() as usize,
            index: self.index_at() as usize,
            rings: self.rings_at() as usize,
        })
    }
}

/// The most shards.
pub(crate) const MAX_SHARDS: u32 = 1024;
/// The smallest main ring, in granules.
pub(crate) const MIN_RING: u32 = if cfg!(loom) { 8 } else { 256 };
/// How many bytes a bucket of a ghost table takes.
pub(crate) const GHOST_BUCKET: u64 = 16;

/// Where the parts are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) sizes: Sizes,
    pub(crate) seed: Seed,
    shard_shift: u32,
    shards: usize,
    ghosts: usize,
    ghost_size: usize,
    index: usize,
    rings: usize,
}

impl Geometry {
    /// The shard of a hash: its upper bits, so that slots with the same tag are of the same shard.
    #[inline]
    pub(crate) const fn shard_of(&self, hash: u32) -> u32 {
        (hash as u64 >> self.shard_shift) as u32
    }

    /// The shard of what a slot points to: its tag has the upper bits of the hash.
    #[inline]
    pub(crate) const fn shard_of_slot(&self, slot: u64) -> u32 {
        self.shard_of(((slot & slot::TAG) >> 32) as u32)
    }

    /// The first byte of a shard.
    #[inline]
    pub(crate) const fn shard(&self, number: u32) -> usize {
        self.shards + number as usize * shard::SIZE
    }

    /// The first byte of a shard's ghost table.
    pub(crate) const fn ghosts(&self, number: u32) -> usize {
        self.ghosts + number as usize * self.ghost_size
    }

    /// The first byte of a bucket.
    #[inline]
    pub(crate) const fn bucket(&self, number: u32) -> usize {
        self.index + number as usize * bucket::SIZE
    }

    /// A shard's ring.
    #[inline]
    pub(crate) const fn ring(&self, number: u32, which: Which) -> Ring {
        let Sizes { small, main, .. } = self.sizes;
        let first = self.rings + number as usize * (small as usize + main as usize) * record::GRANULE;
        let shard = self.shard(number);
        match which {
            Which::Small => Ring::new(which, first, small, shard),
            Which::Main => Ring::new(which, first + small as usize * record::GRANULE, main, shard),
        }
    }

    /// The tag slot of a tag.
    pub(crate) fn tag_slot(&self, tag: &[u8]) -> u32 {
        (sip(self.seed, tag) % u64::from(self.sizes.tag_slots)) as u32
    }
}

/// A key, and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) hash: u32,
    pub(crate) is_load: bool,
}

impl Key<'_> {
    /// What the first eight bytes of its record are, but for [`SIGNATURE`]'s other bits.
    #[inline]
    pub(crate) const fn signature(&self) -> u64 {
        let load = if self.is_load { record::LOAD } else { 0 };
        self.hash as u64 | ((self.bytes.len() as u32 | load) as u64) << 32
    }

    /// The same key, of those that are being loaded: in the same shard, under another tag.
    pub(crate) const fn load(self) -> Self {
        Self { hash: self.hash ^ LOAD_HASH, is_load: true, ..self }
    }
}

/// The bits of a record's first eight bytes that its key decides.
pub(crate) const SIGNATURE: u64 =
    0xffff_ffff | ((record::KEY_LENGTH | record::LOAD | record::SKIP) as u64) << 32;

/// What the hash of a load differs by.
const LOAD_HASH: u32 = 0x5b00;

/// The tag of a hash, where it stands in a slot.
#[inline]
pub(crate) const fn tag(hash: u32) -> u64 {
    let tag = (hash >> 8) as u64;
    (if tag == 0 { 1 } else { tag }) << slot::TAG.trailing_zeros()
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// A key, hashed.
    #[inline]
    pub(crate) fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        let hash = sip(self.geometry.seed, bytes);
        Key { bytes, hash: (hash ^ hash >> 32) as u32, is_load: false }
    }
}
