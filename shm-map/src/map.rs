//! The map, for its users.

use crate::protocol::{
    Core, Refused,
    geometry::Key,
    index, iterate,
    layout::{record::MAX_KEY, record::MAX_TAGS, shard},
    memory::Memory,
    reader,
    record::Draft,
    shard::Shard,
    writer::If,
};
use crate::{
    EntryOptions, MapError, MapOptions, Stats,
    clock::{Earlier, SystemClock, expiry},
    place::Place,
    stamp, stripe,
};
use shm_api::Access;
use shm_lifetime::shrink::Mark;
use shm_sync::{Live, Mutex, MutexGuard, Owner, Region, SyncError};
use std::{ptr::NonNull, time::Duration};

/// How long a writer waits for another one of the same shard, by default.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// A map in shared memory.
///
/// Any number of processes and threads can use it at the same time. Readers take no lock and never wait. A shard has
/// one writer at a time. If a writer is killed, the next one notices it within 20 ms, and the entry has its old value
/// or its new value.
#[derive(Clone, Debug)]
pub struct Map<'a> {
    pub(crate) core: Core<'a, Place<'a>>,
    pub(crate) mark: &'static Mark,
    /// One for each shard; empty if the map is read-only.
    mutexes: Box<[Mutex<'a>]>,
    live: Option<&'static Live>,
    owner: Option<Owner>,
    lock_timeout: Duration,
}

/// An entry that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value's length in bytes.
    pub length: usize,
    /// The encoding of the value.
    pub encoding: u8,
    /// The version: it changes with each change of the value, and is never used twice. Less than 2^53.
    pub version: u64,
    /// When it expires, in milliseconds since 1970; `None`: never.
    pub expires: Option<u64>,
}

impl From<reader::Found> for Found {
    fn from(reader::Found { length, encoding, version, expires, .. }: reader::Found) -> Self {
        Self { length, encoding, version, expires: expires.filter(|expires| *expires != u64::MAX) }
    }
}

/// A number after an increment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// The number.
    pub value: f64,
    /// When it expires, in milliseconds since 1970; `None`: never.
    pub expires: Option<u64>,
}

/// A position in an iteration over all entries: see [`Map::next`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(iterate::Cursor);

impl Cursor {
    /// Returns the cursor of a number that [`number`](Self::number) returned. For bindings.
    pub const fn of_number(number: u64) -> Self {
        Self(iterate::Cursor::of_number(number))
    }

    /// Returns a number that stands for the position. Less than 2^53.
    pub const fn number(self) -> u64 {
        self.0.number()
    }
}

impl<'a> Map<'a> {
    /// Opens the map in a region, whose first byte lies at a multiple of 64. Creates it if the bytes are all zero and
    /// the options have `memory`.
    ///
    /// # Errors
    ///
    /// [`MapError::Fresh`] if there is none, and the options have no `memory`; [`MapError::Options`] if it was created
    /// with other options; other errors if the bytes are not a map, or an option is invalid.
    pub fn open(region: Region<'a>, options: &MapOptions, live: &'static Live) -> Result<Self, MapError> {
        if region.access() == Access::ReadOnly {
            return Err(MapError::ReadOnly);
        }
        let place = Self::place(region)?;
        if !stamp::is_made(place)? {
            if options.memory.is_none() {
                return Err(MapError::Fresh { key: None });
            }
            let sizes = options.sizes()?;
            if sizes.memory > region.size() as u64 {
                let (needed, size) = (sizes.memory.try_into().unwrap_or(usize::MAX), region.size());
                return Err(SyncError::TooSmall { offset: 0, needed, size }.into());
            }
            stamp::make(place, &sizes, live)?;
        }
        if !live.fits(place.word(crate::protocol::layout::header::LIVE)) {
            return Err(SyncError::OtherLiveFile { what: "map" }.into());
        }
        let mut map = Self::over(region, place, options)?;
        let shards = 0..map.core.geometry.sizes.shards;
        let mutex = |number| Mutex::open(region, map.core.geometry.shard(number) + shard::MUTEX, live);
        map.mutexes = shards.map(mutex).collect::<Result<_, _>>()?;
        map.live = Some(live);
        map.sound(Ok(()))?;
        Ok(map)
    }

    /// Opens the map in a region for reading only. The region may be read-only. Lookups are not counted.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only(region: Region<'a>, options: &MapOptions) -> Result<Self, MapError> {
        let place = Self::place(region)?;
        if !stamp::is_made(place)? {
            return Err(MapError::Fresh { key: None });
        }
        Self::over(region, place, options)
    }

    fn place(region: Region<'a>) -> Result<Place<'a>, MapError> {
        stamp::check_room(region.size())?;
        let aligned = region.as_ptr().addr().get().is_multiple_of(64);
        let misaligned = SyncError::Misaligned { what: "map", align: 64 };
        Place::of(region).filter(|_| aligned).ok_or(misaligned.into())
    }

    fn over(region: Region<'a>, place: Place<'a>, options: &MapOptions) -> Result<Self, MapError> {
        let geometry = stamp::geometry(place, region.size(), options)?;
        let core = Core::new(place, geometry);
        let (mark, mutexes, lock_timeout) = (Mark::of(region.as_ptr()), Box::default(), LOCK_TIMEOUT);
        let map = Self { core, mark, mutexes, live: None, owner: None, lock_timeout };
        map.sound(Ok(()))?;
        Ok(map)
    }

    /// Returns the same map, but with `owner` as the owner of its operations, and not the calling thread. This is for
    /// something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(mut self, owner: Owner) -> Self {
        self.mutexes = self.mutexes.iter().map(|mutex| mutex.for_owner(owner)).collect();
        self.owner = Some(owner);
        self
    }

    /// Returns the same map, but a write waits at most this long for another writer of the same shard. Default:
    /// [`LOCK_TIMEOUT`].
    #[must_use]
    pub fn lock_timeout(self, lock_timeout: Duration) -> Self {
        Self { lock_timeout, ..self }
    }

    /// The options it was created with.
    pub fn options(&self) -> MapOptions {
        MapOptions::of(&self.core.geometry.sizes)
    }

    /// Whether it was opened for reading only.
    pub fn is_read_only(&self) -> bool {
        self.mutexes.is_empty()
    }

    /// Finds an entry, and copies its value into `target` if it fits: compare [`Found::length`] with the length of
    /// `target`.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    #[inline]
    pub fn get_into(&self, key: &[u8], target: &mut [u8]) -> Result<Option<Found>, MapError> {
        self.look_up(key, |place, length| {
            if let Some(target) = target.get_mut(..length) {
                self.core.memory.read(place, target);
            }
        })
    }

    /// Finds an entry, and replaces the content of `target` with its value.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn get(&self, key: &[u8], target: &mut Vec<u8>) -> Result<Option<Found>, MapError> {
        self.look_up(key, |place, length| {
            target.resize(length, 0);
            self.core.memory.read(place, target);
        })
    }

    /// Finds an entry, and also one that expired less than `stale` ago and has not been removed yet. Does not count as
    /// a lookup: call it after [`get`](Self::get) has found none.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn get_stale(
        &self,
        key: &[u8],
        stale: Duration,
        target: &mut Vec<u8>,
    ) -> Result<Option<Found>, MapError> {
        let found = self.core.get(&self.key(key)?, Earlier(stale), |place, length| {
            target.resize(length, 0);
            self.core.memory.read(place, target);
        });
        self.uncounted(found.map(|(found, ())| found))
    }

    /// Finds an entry, without reading its value.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn find(&self, key: &[u8]) -> Result<Option<Found>, MapError> {
        self.look_up(key, |_, _| {})
    }

    /// Whether there is an entry.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn contains(&self, key: &[u8]) -> Result<bool, MapError> {
        Ok(self.find(key)?.is_some())
    }

    /// Finds an entry, and calls `copy` with the address and the length of its value. If another process overwrites the
    /// bytes meanwhile, `copy` is called again. The last call has read the value.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    #[inline]
    pub fn get_with(
        &self,
        key: &[u8],
        mut copy: impl FnMut(NonNull<u8>, usize),
    ) -> Result<Option<Found>, MapError> {
        self.look_up(key, |place, length| copy(self.core.memory.at(place, length), length))
    }

    /// Finds an entry as [`get_with`](Self::get_with) does, but does not count as a lookup. This is for the same lookup
    /// once more: with more room, or after the entry was loaded.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn get_again_with(
        &self,
        key: &[u8],
        mut copy: impl FnMut(NonNull<u8>, usize),
    ) -> Result<Option<Found>, MapError> {
        let copy = |place, length| copy(self.core.memory.at(place, length), length);
        let found = self.core.get(&self.key(key)?, SystemClock, copy);
        self.uncounted(found.map(|(found, ())| found))
    }

    #[inline]
    fn look_up(&self, key: &[u8], copy: impl FnMut(usize, usize)) -> Result<Option<Found>, MapError> {
        let found = self.core.get(&self.key(key)?, SystemClock, copy);
        self.count_lookup(found.map(|(found, ())| found))
    }

    #[inline]
    fn count_lookup(&self, found: Option<reader::Found>) -> Result<Option<Found>, MapError> {
        match found {
            Some(found) => self.count_hit(found.place),
            None if self.is_read_only() => {}
            None => self.core.count_lookup(stripe::of_this_thread(), false),
        }
        self.uncounted(found)
    }

    /// The result of a lookup that does not count.
    #[inline]
    fn uncounted(&self, found: Option<reader::Found>) -> Result<Option<Found>, MapError> {
        self.sound(Ok(found.map(Found::from)))
    }

    #[inline]
    pub(crate) fn count_hit(&self, place: index::Place) {
        if !self.is_read_only() {
            if self.core.geometry.sizes.evict {
                self.core.want(place);
            }
            self.core.count_lookup(stripe::of_this_thread(), true);
        }
    }

    /// Finds an entry, and gives access to its value in place.
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn view(&self, key: &[u8]) -> Result<Option<crate::View<'a>>, MapError> {
        self.view_and(key, |found| self.count_lookup(found))
    }

    /// As [`view`](Self::view), but does not count as a lookup: see [`get_again_with`](Self::get_again_with).
    ///
    /// # Errors
    ///
    /// [`MapError::OutOfRange`] if the key is too long.
    pub fn view_again(&self, key: &[u8]) -> Result<Option<crate::View<'a>>, MapError> {
        self.view_and(key, |found| self.uncounted(found))
    }

    #[inline]
    fn view_and(
        &self,
        key: &[u8],
        look: impl FnOnce(Option<reader::Found>) -> Result<Option<Found>, MapError>,
    ) -> Result<Option<crate::View<'a>>, MapError> {
        let key = self.key(key)?;
        let found = self.core.get(&key, SystemClock, |place, length| self.core.memory.at(place, length));
        let view = found.map(|(found, start)| (found.slot, start, found.sight()));
        let found = look(found.map(|(found, _)| found))?;
        let number = self.core.geometry.shard_of(key.hash);
        Ok(found.zip(view).map(|(found, (slot, start, sight))| {
            crate::View::new(self.core, number, slot, start, found, sight)
        }))
    }

    /// Writes an entry; replaces an existing one. Returns its version.
    ///
    /// # Errors
    ///
    /// [`MapError::TooLong`]; [`MapError::Full`] in a map that does not evict; [`MapError::Busy`] if another writer of
    /// this shard is stopped.
    pub fn insert(&self, key: &[u8], value: &[u8], options: &EntryOptions<'_>) -> Result<u64, MapError> {
        Ok(self.put(key, value, options, If::Always)?.unwrap_or_default())
    }

    /// Writes an entry if there is none. Returns its version; `None` if there is one.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn add(&self, key: &[u8], value: &[u8], options: &EntryOptions<'_>) -> Result<Option<u64>, MapError> {
        self.put(key, value, options, If::Absent)
    }

    /// Writes an entry if it has this version. Returns its new version; `None` if there is none, or it has another.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn replace(
        &self,
        key: &[u8],
        version: u64,
        value: &[u8],
        options: &EntryOptions<'_>,
    ) -> Result<Option<u64>, MapError> {
        self.put(key, value, options, If::Version(version))
    }

    fn put(
        &self,
        key: &[u8],
        value: &[u8],
        options: &EntryOptions<'_>,
        when: If,
    ) -> Result<Option<u64>, MapError> {
        let key = self.key(key)?;
        self.check_value(value.len())?;
        let (expires, tags) = (expiry(options.ttl, SystemClock), self.tags(options.tags)?);
        let draft = self.draft(key, value, options, expires, &tags);
        self.locked(&key, value.len(), |shard| shard.put(&draft, when, SystemClock))
    }

    pub(crate) const fn draft<'d>(
        &self,
        key: Key<'d>,
        value: &'d [u8],
        options: &EntryOptions<'_>,
        expires: Option<u64>,
        tags: &'d [u64],
    ) -> Draft<'d> {
        Draft { key, value, encoding: options.encoding, expires, tags }
    }

    /// Removes an entry; returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`MapError::Busy`] if another writer of this shard is stopped.
    pub fn remove(&self, key: &[u8]) -> Result<bool, MapError> {
        let key = self.key(key)?;
        self.locked(&key, 0, |shard| Ok(shard.remove(&key, SystemClock)))
    }

    /// Sets how long an entry is valid from now on; returns whether there is one.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn touch(&self, key: &[u8], ttl: Option<Duration>) -> Result<bool, MapError> {
        let key = self.key(key)?;
        let (expires, mut buffer) = (expiry(ttl, SystemClock), Vec::new());
        self.locked(&key, 0, |shard| shard.touch(&key, expires, &mut buffer, SystemClock))
    }

    /// Adds to a number ([`NUMBER`](crate::NUMBER)), and returns the sum. A missing entry counts as 0; the new entry is
    /// valid for `ttl`.
    ///
    /// # Errors
    ///
    /// [`MapError::NotANumber`] if the entry, `by` or the sum is not a whole number within 2^53 - 1; otherwise as
    /// [`insert`](Self::insert).
    pub fn increment(&self, key: &[u8], by: f64, ttl: Option<Duration>) -> Result<Counted, MapError> {
        let key = self.key(key)?;
        let counted = self.locked(&key, 8, |shard| {
            let expires = expiry(ttl, SystemClock);
            shard.increment(&key, by, expires, SystemClock)
        })?;
        let expires = counted.expires.filter(|expires| *expires != u64::MAX);
        Ok(Counted { value: counted.value, expires })
    }

    /// Removes all entries in one step: after this has returned, no process finds an older entry. (If another writer is
    /// stopped, the room of its shard is freed later.)
    ///
    /// # Errors
    ///
    /// [`MapError::ReadOnly`].
    pub fn clear(&self) -> Result<(), MapError> {
        self.writable()?;
        self.core.invalidate_all();
        for number in 0..self.core.geometry.sizes.shards {
            // The owner of a shard drops what is of an earlier generation.
            match self.locked_shard(number, |_| Ok(())) {
                Ok(()) | Err(Failed::Map(MapError::Busy)) => {}
                Err(Failed::Map(error)) => return Err(error),
                Err(Failed::Shard(refused)) => return Err(MapError::of(refused, 0)),
            }
        }
        self.sound(Ok(()))
    }

    /// Removes all entries that have one of these tags, in one step for each tag: after this has returned, no process
    /// finds an older entry. Entries with another tag in the same slot are removed too.
    ///
    /// # Errors
    ///
    /// [`MapError::ReadOnly`].
    pub fn invalidate_tags(&self, tags: &[&str]) -> Result<(), MapError> {
        self.writable()?;
        tags.iter().for_each(|tag| self.core.invalidate(tag.as_bytes()));
        self.sound(Ok(()))
    }

    /// The number of entries. It may include entries that have expired or were invalidated.
    pub fn len(&self) -> usize {
        self.core.entries().try_into().unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the sums over all processes.
    pub fn stats(&self) -> Stats {
        Stats::of(self.core.counts(), &self.core.geometry.sizes)
    }

    /// Visits the next entry, and replaces the contents of the two vectors with its key and its value. Begin with
    /// `Cursor::default()`. No lock is held between the calls. An entry that exists during the whole iteration is
    /// visited exactly once. An entry that is added or removed meanwhile is visited once or not at all.
    ///
    /// # Errors
    ///
    /// If the segment was cut off.
    pub fn next(
        &self,
        cursor: &mut Cursor,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<Option<Found>, MapError> {
        self.step(cursor, key, |place, length| {
            value.resize(length, 0);
            self.core.memory.read(place, value);
        })
    }

    /// As [`next`](Self::next), without the value.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_key(&self, cursor: &mut Cursor, key: &mut Vec<u8>) -> Result<Option<Found>, MapError> {
        self.step(cursor, key, |_, _| {})
    }

    /// As [`next`](Self::next), but `copy` reads the value, as in [`get_with`](Self::get_with).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_with(
        &self,
        cursor: &mut Cursor,
        key: &mut Vec<u8>,
        mut copy: impl FnMut(NonNull<u8>, usize),
    ) -> Result<Option<Found>, MapError> {
        self.step(cursor, key, |place, length| copy(self.core.memory.at(place, length), length))
    }

    fn step(
        &self,
        cursor: &mut Cursor,
        key: &mut Vec<u8>,
        copy: impl FnMut(usize, usize),
    ) -> Result<Option<Found>, MapError> {
        let next = self.core.next(&mut cursor.0, key, SystemClock, copy);
        self.sound(Ok(next.map(|(found, ())| found.into())))
    }

    #[inline]
    pub(crate) fn key<'k>(&self, bytes: &'k [u8]) -> Result<Key<'k>, MapError> {
        if bytes.len() > MAX_KEY { Err(too_long(bytes)) } else { Ok(self.core.key(bytes)) }
    }

    /// Checks that a value is not longer than the option `max_value` says. Every write checks it, too; this is for one
    /// who copies the value first.
    ///
    /// # Errors
    ///
    /// [`MapError::TooLong`].
    pub fn check_value(&self, length: usize) -> Result<(), MapError> {
        let most = self.core.geometry.sizes.max_value as usize;
        if length > most { Err(MapError::TooLong { length, most }) } else { Ok(()) }
    }

    /// The tags with their current generations.
    #[inline]
    pub(crate) fn tags(&self, tags: &[&str]) -> Result<Vec<u64>, MapError> {
        if tags.len() > MAX_TAGS {
            let must = format!("{MAX_TAGS} at most");
            return Err(MapError::OutOfRange {
                option: "the number of tags",
                value: tags.len() as u64,
                must,
            });
        }
        Ok(tags.iter().map(|tag| self.core.tag(tag.as_bytes())).collect())
    }

    /// Returns the owner of the map's operations.
    ///
    /// # Errors
    ///
    /// [`MapError::ReadOnly`]; an error of the operating system if this thread has no id yet and cannot get one.
    pub fn owner(&self) -> Result<Owner, MapError> {
        match (self.owner, self.live) {
            (Some(owner), _) => Ok(owner),
            (None, Some(live)) => Ok(live.this_thread()?),
            (None, None) => Err(MapError::ReadOnly),
        }
    }

    /// Whether an owner that has used this map still lives. Ids belong to the live file of the map, and none is used
    /// twice. A map that is open for reading only cannot find out, and returns `true`.
    pub fn is_alive(&self, owner: Owner) -> bool {
        self.live.is_none_or(|live| live.is_alive(owner))
    }

    fn writable(&self) -> Result<(), MapError> {
        if self.is_read_only() { Err(MapError::ReadOnly) } else { Ok(()) }
    }

    /// Returns the result of an operation, unless a part of the segment was cut off before its end.
    #[inline]
    pub(crate) fn sound<T>(&self, result: Result<T, MapError>) -> Result<T, MapError> {
        if self.mark.is_set() { Err(SyncError::Shrunk.into()) } else { result }
    }

    /// Does something as the owner of a key's shard.
    #[inline]
    pub(crate) fn locked<T>(
        &self,
        key: &Key<'_>,
        length: usize,
        act: impl FnOnce(&Shard<'a, Place<'a>>) -> Result<T, Refused>,
    ) -> Result<T, MapError> {
        // While the lock is taken.
        self.core.prefetch(&self.core.path(key.hash));
        let done = self.locked_shard(self.core.geometry.shard_of(key.hash), act);
        self.sound(done.map_err(|failed| match failed {
            Failed::Map(error) => error,
            Failed::Shard(refused) => MapError::of(refused, length),
        }))
    }

    #[inline]
    fn locked_shard<T>(
        &self,
        number: u32,
        act: impl FnOnce(&Shard<'a, Place<'a>>) -> Result<T, Refused>,
    ) -> Result<T, Failed> {
        let mutex = self.mutex(number)?;
        let guard = mutex.lock_timeout(self.lock_timeout).map_err(MapError::from)?.ok_or(MapError::Busy)?;
        let done = act(&self.shard(number, &guard));
        drop(guard);
        Ok(done?)
    }

    #[inline]
    fn mutex(&self, number: u32) -> Result<&Mutex<'a>, MapError> {
        self.mutexes.get(number as usize).ok_or(MapError::ReadOnly)
    }

    /// A shard, whose mutex is locked.
    #[inline]
    fn shard(&self, number: u32, guard: &MutexGuard<'a>) -> Shard<'a, Place<'a>> {
        let shard = self.core.shard(number);
        if guard.owner_died() {
            shard.recover();
        }
        shard
    }

    /// Takes the lock of a key's shard from its owner if that is dead. Checks at once, and does not wait.
    pub(crate) fn take_from_the_dead(&self, key: &Key<'_>) -> Result<(), MapError> {
        let number = self.core.geometry.shard_of(key.hash);
        if let Some(guard) = self.mutex(number)?.try_lock()? {
            self.shard(number, &guard);
        }
        Ok(())
    }
}

/// Apart, so that a key is hashed in its caller.
#[cold]
fn too_long(key: &[u8]) -> MapError {
    let must = format!("{MAX_KEY} bytes at most");
    MapError::OutOfRange { option: "the key's length", value: key.len() as u64, must }
}

/// Why an owner of a shard did not do something.
enum Failed {
    Map(MapError),
    Shard(Refused),
}

impl From<MapError> for Failed {
    fn from(error: MapError) -> Self {
        Self::Map(error)
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Shard(refused)
    }
}
