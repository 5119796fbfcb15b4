//! An entry that was found, to check later whether it is unchanged.

use crate::{Map, View, clock::SystemClock, protocol::reader::Sight};

/// An entry as it was found: see [`View::seen`]. With it, the map can tell without the key whether the entry is still
/// the same.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    sight: Sight,
    version: u64,
}

impl Seen {
    /// The entry's version.
    pub const fn version(&self) -> u64 {
        self.version
    }
}

impl View<'_> {
    /// Returns what to compare the entry with later: see [`Map::is_unchanged`].
    pub const fn seen(&self) -> Seen {
        Seen { sight: self.sight, version: self.found.version }
    }
}

impl Map<'_> {
    /// Whether an entry of this map exists, and has the version with which it was seen. This takes less time than to
    /// find the entry by its key, and counts as a lookup. If it is `false`, look the key up: the entry may have been
    /// moved.
    pub fn is_unchanged(&self, seen: &Seen) -> bool {
        let Seen { sight, version } = seen;
        // The mark is checked last: if the segment was made smaller, nothing that was read is valid.
        let is_unchanged = self.core.is_unchanged(sight, *version, SystemClock) && !self.mark.is_set();
        if is_unchanged {
            self.count_hit(sight.place());
        }
        is_unchanged
    }
}
