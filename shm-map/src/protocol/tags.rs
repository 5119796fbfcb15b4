//! What makes entries invalid without touching them: the generations of the map and of its tags.
//!
//! A record bears the generations that it was written under. One addition makes all records of the map, or of a tag,
//! those of an earlier generation.

use super::{
    Clock, Core,
    layout::header::{CLEARED, INVALIDATED, TAGS},
    memory::{AtomicU32, Memory, Ordering},
    record::Record,
};

impl<'a, M: Memory<'a>> Core<'a, M> {
    fn generation_of(&self, slot: u32) -> Option<&'a AtomicU32> {
        (slot < self.geometry.sizes.tag_slots).then(|| self.memory.word(TAGS + slot as usize * 4))
    }

    /// A tag slot and its generation, as a record bears it.
    pub(crate) fn tag(&self, tag: &[u8]) -> u64 {
        let slot = self.geometry.tag_slot(tag);
        // SeqCst, as all that concerns generations: what begins after an invalidation has returned sees it.
        let generation = self.generation_of(slot).map_or(0, |word| word.load(Ordering::SeqCst));
        u64::from(slot) | u64::from(generation) << 32
    }

    /// From now on no record with this tag is valid.
    pub(crate) fn invalidate(&self, tag: &[u8]) {
        if let Some(generation) = self.generation_of(self.geometry.tag_slot(tag)) {
            // Before and after: a sweep that has begun in between is followed by another, and if this process dies in
            // between, there is a sweep.
            self.note_invalidation();
            generation.fetch_add(1, Ordering::SeqCst);
            shm_lifetime::fault::step();
            self.note_invalidation();
        }
    }

    fn note_invalidation(&self) {
        self.memory.word(INVALIDATED).fetch_add(1, Ordering::SeqCst);
    }

    /// From now on no record is valid.
    pub(crate) fn invalidate_all(&self) {
        self.memory.word(CLEARED).fetch_add(1, Ordering::SeqCst);
        shm_lifetime::fault::step();
        self.note_invalidation();
    }

    /// The generation of the map.
    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.memory.word(CLEARED).load(Ordering::SeqCst)
    }

    pub(crate) fn invalidations(&self) -> u32 {
        self.memory.word(INVALIDATED).load(Ordering::SeqCst)
    }

    /// When a record expires.
    #[inline]
    pub(crate) fn expires(&self, record: &Record) -> Option<u64> {
        record.expires_at().map(|at| self.memory.long(at).load(Ordering::Relaxed))
    }

    /// Whether a record is of the generations of now, and has not expired.
    #[inline]
    pub(crate) fn is_valid(&self, record: &Record, clock: impl Clock) -> bool {
        self.has_not_expired(record, clock) && self.is_of_now(record)
    }

    /// Whether a record is of the generations of now.
    #[inline]
    pub(crate) fn is_of_now(&self, record: &Record) -> bool {
        record.generation == self.generation() && record.tags().all(|at| self.is_tag_of_now(at))
    }

    fn is_tag_of_now(&self, at: usize) -> bool {
        let tag = self.memory.long(at).load(Ordering::Relaxed);
        let generation = self.generation_of(tag as u32);
        generation.is_some_and(|generation| generation.load(Ordering::SeqCst) == (tag >> 32) as u32)
    }

    #[inline]
    fn has_not_expired(&self, record: &Record, clock: impl Clock) -> bool {
        self.expires(record).is_none_or(|expires| clock.now() < expires)
    }
}
