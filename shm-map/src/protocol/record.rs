//! How an entry lies in a ring. `layout::record` has the offsets.

use super::{
    Core,
    geometry::{Key, SIGNATURE},
    layout::record::{
        DEAD, ENCODING, EXPIRES, GRANULE, HASH, KEY, KEY_LENGTH, LENGTH, LOAD, SKIP, TAG_COUNT, VERSION,
    },
    memory::{Memory, Ordering},
    ring::Ring,
};

/// What stands at a position: the numbers of its header, as they were read once, and where its parts are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) place: usize,
    pub(crate) hash: u32,
    meta: u32,
    pub(crate) length: usize,
    pub(crate) generation: u32,
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'d> {
    pub(crate) key: Key<'d>,
    pub(crate) value: &'d [u8],
    pub(crate) encoding: u8,
    /// Milliseconds since 1970.
    pub(crate) expires: Option<u64>,
    /// Tag slots and their generations.
    pub(crate) tags: &'d [u64],
}

impl Draft<'_> {
    const fn meta(&self) -> u32 {
        let expires = if self.expires.is_some() { EXPIRES } else { 0 };
        let load = if self.key.is_load { LOAD } else { 0 };
        let tags = (self.tags.len() as u32) << TAG_COUNT.trailing_zeros();
        self.key.bytes.len() as u32
            | tags
            | (self.encoding as u32) << ENCODING.trailing_zeros()
            | expires
            | load
    }

    /// How many granules it takes.
    #[inline]
    pub(crate) const fn granules(&self) -> u64 {
        granules(self.meta(), self.value.len())
    }

    /// How many bytes of a value fit into so many granules, with the same key and tags.
    pub(crate) const fn most_within(&self, granules: u64) -> usize {
        (granules as usize * GRANULE).saturating_sub(value_at(self.meta()))
    }
}

const fn key_length(meta: u32) -> usize {
    (meta & KEY_LENGTH) as usize
}

const fn tag_count(meta: u32) -> usize {
    ((meta & TAG_COUNT) >> TAG_COUNT.trailing_zeros()) as usize
}

const fn expires_at(meta: u32) -> usize {
    KEY + key_length(meta).next_multiple_of(8)
}

const fn tags_at(meta: u32) -> usize {
    expires_at(meta) + if meta & EXPIRES == 0 { 0 } else { 8 }
}

const fn value_at(meta: u32) -> usize {
    tags_at(meta) + tag_count(meta) * 8
}

const fn granules(meta: u32, length: usize) -> u64 {
    // Others may have written any length: on a 32-bit system the sum needs more bits.
    (value_at(meta) as u64 + length as u64).div_ceil(GRANULE as u64)
}

impl Record {
    #[inline]
    pub(crate) const fn is_skip(&self) -> bool {
        self.meta & SKIP != 0
    }

    /// Whether it is known that no slot points to it.
    #[inline]
    pub(crate) const fn is_dead(&self) -> bool {
        self.meta & (SKIP | DEAD) != 0
    }

    pub(crate) const fn is_load(&self) -> bool {
        self.meta & LOAD != 0
    }

    #[inline]
    pub(crate) const fn granules(&self) -> u64 {
        if self.is_skip() { self.length as u64 } else { granules(self.meta, self.length) }
    }

    #[inline]
    pub(crate) const fn encoding(&self) -> u8 {
        ((self.meta & ENCODING) >> ENCODING.trailing_zeros()) as u8
    }

    pub(crate) const fn key_length(&self) -> usize {
        key_length(self.meta)
    }

    pub(crate) const fn key_at(&self) -> usize {
        self.place + KEY
    }

    /// Where its value is.
    #[inline]
    pub(crate) const fn value_at(&self) -> usize {
        self.place + value_at(self.meta)
    }

    pub(crate) const fn version_at(&self) -> usize {
        self.place + VERSION
    }

    /// Where it says when it expires.
    pub(crate) const fn expires_at(&self) -> Option<usize> {
        if self.meta & EXPIRES == 0 { None } else { Some(self.place + expires_at(self.meta)) }
    }

    #[inline]
    pub(crate) const fn has_tags(&self) -> bool {
        self.meta & TAG_COUNT != 0
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = usize> + use<> {
        let first = self.place + tags_at(self.meta);
        (0..tag_count(self.meta)).map(move |tag| first + tag * 8)
    }
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// What stands at a position; `None` if it would reach beyond the ring, or is nothing.
    #[inline]
    pub(crate) fn record(&self, ring: &Ring, position: u64) -> Option<Record> {
        let place = ring.place(position, 1)?;
        let first = self.memory.long(place + HASH).load(Ordering::Relaxed);
        let second = self.memory.long(place + LENGTH).load(Ordering::Relaxed);
        let record = Record {
            place,
            hash: first as u32,
            meta: (first >> 32) as u32,
            length: second as u32 as usize,
            generation: (second >> 32) as u32,
        };
        let granules = record.granules();
        ring.place(position, granules)?;
        (granules > 0).then_some(record)
    }

    /// What stands at a position, if it bears this key.
    #[inline]
    pub(crate) fn record_of(&self, ring: &Ring, position: u64, key: &Key<'_>) -> Option<Record> {
        let record = self.record(ring, position)?;
        let first = u64::from(record.hash) | u64::from(record.meta) << 32;
        (first & SIGNATURE == key.signature() && self.bears(&record, key.bytes)).then_some(record)
    }

    /// Whether the key, which is as long as the record's, is the record's.
    #[inline]
    fn bears(&self, record: &Record, key: &[u8]) -> bool {
        let (words, rest) = key.as_chunks::<8>();
        let mut at = record.key_at();
        for word in words {
            if self.memory.long(at).load(Ordering::Relaxed) != u64::from_le_bytes(*word) {
                return false;
            }
            at += 8;
        }
        rest.is_empty() || self.memory.long(at).load(Ordering::Relaxed) == padded(rest)
    }

    /// Writes a record. Nobody but the shard's owner looks at the place.
    pub(crate) fn write_record(&self, place: usize, draft: &Draft<'_>, generation: u32, version: u64) {
        let meta = draft.meta();
        let put = |at: usize, long: u64| self.memory.long(at).store(long, Ordering::Relaxed);
        put(place + HASH, u64::from(draft.key.hash) | u64::from(meta) << 32);
        put(place + LENGTH, draft.value.len() as u64 | u64::from(generation) << 32);
        put(place + VERSION, version);
        let (words, rest) = draft.key.bytes.as_chunks::<8>();
        let mut at = place + KEY;
        for word in words {
            put(at, u64::from_le_bytes(*word));
            at += 8;
        }
        if !rest.is_empty() {
            put(at, padded(rest));
        }
        if let Some(expires) = draft.expires {
            put(place + expires_at(meta), expires);
        }
        for (tag, at) in draft.tags.iter().zip((place + tags_at(meta)..).step_by(8)) {
            put(at, *tag);
        }
        self.memory.write(place + value_at(meta), draft.value);
    }

    /// Marks a record to which no slot points any more, so that the tail need not look for one. Readers that have it
    /// still do not mind.
    pub(crate) fn mark_dead(&self, record: &Record) {
        let first = u64::from(record.hash) | u64::from(record.meta | DEAD) << 32;
        // Release: not before the slot has changed.
        self.memory.long(record.place + HASH).store(first, Ordering::Release);
    }

    /// Fills the rest of a lap.
    pub(crate) fn write_skip(&self, place: usize, granules: u64) {
        self.memory.long(place + HASH).store(u64::from(SKIP) << 32, Ordering::Relaxed);
        self.memory.long(place + LENGTH).store(granules, Ordering::Relaxed);
    }
}

#[inline]
fn padded(rest: &[u8]) -> u64 {
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(last)
}
