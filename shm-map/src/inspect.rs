//! The options and statistics of a map, for programs that show them. A copy of some words is enough.
//!
//! As in [`shm_sync::inspect`], nothing is opened or written, no other process is involved, and the words may have any
//! value.

use crate::{
    MapError, MapOptions, Stats,
    place::Place,
    protocol::{
        Core,
        geometry::Geometry,
        layout::{header, shard},
        memory::{AtomicU8, AtomicU32, AtomicU64, Memory, Ordering},
    },
    stamp,
};
use shm_api::Access;
use shm_sync::{
    Region,
    inspect::{Held, Source},
    layout::mutex,
};
use std::ptr::NonNull;

/// A map, as its words were when they were copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The options with which it was created.
    pub options: MapOptions,
    /// The sums over all processes.
    pub stats: Stats,
    /// The id of the live file through which its users find each other.
    pub live: u32,
    /// The mutexes of the writers, one for each shard.
    pub writers: Vec<Held>,
    /// How many loads are under way.
    pub loads: u64,
}

/// Describes the map in a segment of `size` bytes.
///
/// # Errors
///
/// [`MapError::Fresh`] if the bytes are zeros, [`MapError::Foreign`] if they are something else,
/// [`MapError::Version`], [`MapError::Damaged`].
pub fn describe(source: &mut Source<'_>, size: usize) -> Result<Found, MapError> {
    stamp::check_room(size)?;
    let beginning = Copied::of(source, 0, header::TAGS)?;
    let place = beginning.place();
    if !stamp::is_made(place)? {
        return Err(MapError::Fresh { key: None });
    }
    let geometry = stamp::geometry(place, size, &MapOptions::default())?;
    let length = geometry.sizes.shards as usize * shard::SIZE;
    let shards = Copied::of(source, geometry.shard(0), length)?;
    let core = Core::new(Excerpt { header: place, shards: shards.place(), at: geometry.shard(0) }, geometry);
    Ok(Found {
        options: MapOptions::of(&geometry.sizes),
        stats: Stats::of(core.counts(), &geometry.sizes),
        live: place.word(header::LIVE).load(Ordering::Relaxed),
        writers: shards_of(&core, |at| Held::of_word(word(&core, at + shard::MUTEX + mutex::WORD as usize))),
        loads: loads(&core),
    })
}

fn word(core: &Core<'_, Excerpt<'_>>, at: usize) -> u32 {
    core.memory.word(at).load(Ordering::Relaxed)
}

fn shards_of<T>(core: &Core<'_, Excerpt<'_>>, look: impl FnMut(usize) -> T) -> Vec<T> {
    let Geometry { sizes, .. } = core.geometry;
    (0..sizes.shards).map(|number| core.geometry.shard(number)).map(look).collect()
}

fn loads(core: &Core<'_, Excerpt<'_>>) -> u64 {
    let long = |at| core.memory.long(at).load(Ordering::Relaxed);
    shards_of(core, |at| long(at + shard::LOADS)).into_iter().fold(0, u64::wrapping_add)
}

/// A copy of a part of a map, aligned as the map is.
struct Copied(Vec<u64>);

impl Copied {
    /// `length` is a multiple of eight.
    fn of(source: &mut Source<'_>, offset: usize, length: usize) -> Result<Self, MapError> {
        let mut bytes = vec![0; length];
        if source(offset, &mut bytes) < length {
            return Err(MapError::Damaged("its segment ends within it"));
        }
        let longs = bytes.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        Ok(Self(longs.collect()))
    }

    fn place(&self) -> Place<'_> {
        let (start, size) = (NonNull::from(&self.0[..]).cast(), self.0.len() * size_of::<u64>());
        // SAFETY: so many bytes are there for as long as `self` is borrowed, and nobody writes to them.
        let region = unsafe { Region::from_raw(start, size, Access::ReadOnly) };
        Place::of(region).expect("u64 are aligned")
    }
}

/// The parts of a map from which its numbers are computed: its header, and its shards.
#[derive(Clone, Copy)]
struct Excerpt<'e> {
    header: Place<'e>,
    shards: Place<'e>,
    /// Where the shards begin.
    at: usize,
}

impl<'e> Excerpt<'e> {
    fn part(self, offset: usize) -> (Place<'e>, usize) {
        if offset < self.at { (self.header, offset) } else { (self.shards, offset - self.at) }
    }
}

impl<'e> Memory<'e> for Excerpt<'e> {
    fn long(self, offset: usize) -> &'e AtomicU64 {
        let (part, offset) = self.part(offset);
        part.long(offset)
    }

    fn word(self, offset: usize) -> &'e AtomicU32 {
        let (part, offset) = self.part(offset);
        part.word(offset)
    }

    fn byte(self, offset: usize) -> &'e AtomicU8 {
        let (part, offset) = self.part(offset);
        part.byte(offset)
    }

    fn read(self, offset: usize, target: &mut [u8]) {
        let (part, offset) = self.part(offset);
        part.read(offset, target);
    }

    // Nobody writes to a copy.

    fn write(self, _offset: usize, _source: &[u8]) {}

    fn copy(self, _from: usize, _to: usize, _count: usize) {}
}
