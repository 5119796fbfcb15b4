//! One map for all processes.

use crate::{Error, Segment, owned::Owned};
use shm_map::{EntryOptions, Map as Raw, MapOptions};

/// A map in shared memory: a cache that makes room by eviction, or a table that never evicts. Readers take no lock. If
/// a process is killed while it writes, the entry has its old value or its new value.
///
/// ```
/// # use shm_segments::{EntryOptions, Error, Map, MapOptions, Segment};
/// # let segment = Segment::create_anywhere(1 << 20)?;
/// let prices = Map::open(&segment, 0, &MapOptions::new(1 << 20))?;
/// prices.insert("apple", "1.25", &EntryOptions::default())?;
/// assert_eq!(prices.get("apple")?.as_deref(), Some(&b"1.25"[..]));
/// assert_eq!(prices.full().increment(b"visits", 1.0, None)?.value, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Map(Owned<Raw<'static>>);

impl Map {
    /// Opens the map at `offset` of a segment; `offset` is a multiple of 64. Makes it if the bytes are all zero; then
    /// the options must have `memory`. A process that opens an existing map may leave options out.
    ///
    /// # Errors
    ///
    /// If it does not fit there, the bytes there are something else, an option is invalid, or the map was created with
    /// another value of it.
    pub fn open(segment: &Segment, offset: usize, options: &MapOptions) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| {
            let place = region.at(offset, segment.size().saturating_sub(offset))?;
            Raw::open(place, options, live)
        })
        .map(Self)
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`](shm_map::MapError::OutOfRange) for a key that is too long.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let mut value = Vec::new();
        Ok(self.0.raw.get(key.as_ref(), &mut value)?.map(|_| value))
    }

    /// Writes an entry, and returns its version.
    ///
    /// # Errors
    ///
    /// As [`shm_map::Map::insert`].
    pub fn insert(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: &EntryOptions<'_>,
    ) -> Result<u64, Error> {
        Ok(self.0.raw.insert(key.as_ref(), value.as_ref(), options)?)
    }

    /// Removes an entry; returns whether there was one.
    ///
    /// # Errors
    ///
    /// As [`shm_map::Map::remove`].
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        Ok(self.0.raw.remove(key.as_ref())?)
    }

    /// The map with all its operations: compare-and-set, counting, tags, loading, iteration, statistics.
    pub const fn full(&self) -> &Raw<'_> {
        &self.0.raw
    }
}
