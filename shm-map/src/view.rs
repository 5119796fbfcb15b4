//! A value where it lies, without a copy.

use crate::Found;
use crate::place::Place;
use crate::protocol::{Core, reader::Sight, ring::Which};
use std::ptr::NonNull;

/// The bytes of a value in the map. Another process may overwrite them at any time: use them, and call
/// [`is_whole`](Self::is_whole) **afterwards**. Do not write to them.
#[derive(Clone, Copy, Debug)]
pub struct View<'m> {
    core: Core<'m, Place<'m>>,
    shard: u32,
    slot: u64,
    start: NonNull<u8>,
    pub(crate) found: Found,
    pub(crate) sight: Sight,
}

impl<'m> View<'m> {
    pub(crate) const fn new(
        core: Core<'m, Place<'m>>,
        shard: u32,
        slot: u64,
        start: NonNull<u8>,
        found: Found,
        sight: Sight,
    ) -> Self {
        Self { core, shard, slot, start, found, sight }
    }

    /// Where they begin. [`found`](Self::found) has their number. They stay readable as long as the map is open.
    pub const fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    /// The entry.
    pub const fn found(&self) -> Found {
        self.found
    }

    /// Whether everything that you have read of them until now was the value.
    pub fn is_whole(&self) -> bool {
        self.core.is_whole(&self.core.geometry.ring(self.shard, Which::of(self.slot)), self.slot)
    }
}
