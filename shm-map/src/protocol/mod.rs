//! The algorithms, and nothing else: no system calls and no clock. What they need is given to them.
//!
//! The memory comes through [`memory::Memory`], the time through [`Clock`]. Who calls [`shard::Shard`] holds the
//! shard's mutex. So a model checker can run all of it: see `models`.

pub(crate) mod change;
pub(crate) mod count;
#[cfg(all(test, not(loom)))]
mod deaths;
pub(crate) mod geometry;
pub(crate) mod ghost;
pub(crate) mod hash;
pub(crate) mod index;
pub(crate) mod iterate;
pub mod layout;
pub(crate) mod load;
pub(crate) mod memory;
#[cfg(all(test, loom))]
mod models;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod ring;
pub(crate) mod room;
pub(crate) mod rules;
pub(crate) mod shard;
pub(crate) mod sweep;
pub(crate) mod tags;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod writer;

use geometry::Geometry;
use memory::Memory;
use std::marker::PhantomData;

/// What time it is. It is asked only where something expires.
pub(crate) trait Clock: Copy {
    /// Milliseconds since 1970.
    fn now(self) -> u64;
}

/// A map in memory: what its readers and writers have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core<'a, M> {
    pub(crate) memory: M,
    pub(crate) geometry: Geometry,
    lifetime: PhantomData<&'a ()>,
}

impl<'a, M: Memory<'a>> Core<'a, M> {
    /// `memory` reaches as far as the geometry says.
    pub(crate) const fn new(memory: M, geometry: Geometry) -> Self {
        Self { memory, geometry, lifetime: PhantomData }
    }
}

/// The bytes contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no room, and nothing may be evicted for it.
    Full,
    /// It takes more than a third of a ring. Of this value, so many bytes would fit.
    TooLong(usize),
    /// The value is not a whole number that a double holds exactly, or would not be one.
    NotANumber,
    /// The bytes contradict each other.
    Damaged(&'static str),
}

impl From<Damaged> for Refused {
    fn from(Damaged(how): Damaged) -> Self {
        Self::Damaged(how)
    }
}
