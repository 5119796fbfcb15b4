//! The slots of a ledger: a mapped file that grows by levels.
//!
//! The first slot is the file's header. Levels have 128, 256, 512 … slots. Growing adds a level and moves nothing. The
//! hash of a name leads to eight slots in each level, so a look-up reads only a few slots, however many there are.
//!
//! Room for a level is reserved before it is mapped. So a full file system leads to `ENOSPC`, and not to a SIGBUS when
//! a hole is touched.
//!
//! Levels are never removed. So each level except the first has a word in the header that counts its entries; an empty
//! level is neither searched nor swept. An entry is counted from before it is written until it is erased. So the count
//! is never too low. After a crash it may be too high, until a sweep finds the level empty.

use crate::{descriptor::Descriptor, is_beyond_file_limit, reserve_file};
use memmap2::{MmapOptions, MmapRaw};
use nix::{errno::Errno, sys::stat::fstat};
use shm_api::OsError;
use std::{
    array,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    slice,
    sync::{
        OnceLock,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
    },
};

/// The file's name. A version that lays entries out in another way takes another name, and leaves this alone.
pub(crate) const FILE: &str = "ledger.1";

const MAGIC: u64 = u64::from_le_bytes(*b"shmledgr");
const VERSION: u64 = 1;
const SLOT_WORDS: usize = 64;
const SLOT_BYTES: usize = SLOT_WORDS * 8;
pub(super) const FIRST_LEVEL: u32 = 128;
pub(super) const MAX_LEVELS: usize = 14;
const WINDOW: u32 = 8;

const HEADER_MAGIC: usize = 0;
const HEADER_FORMAT: usize = 1;
const HEADER_LEVELS: usize = 2;
/// From here on a word for each level: in its lower half how many entries it has, in its upper half how many came.
const HEADER_COUNTS: usize = 16;
const ARRIVAL: u64 = 1 << 32 | 1;
const HALF: u64 = u32::MAX as u64;

/// The words of a slot. All are atomic, as every process of the user may write them at any time.
pub(super) type Slot = [AtomicU64; SLOT_WORDS];

/// Which entry of the ledger it is: the number of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId(u32);

impl EntryId {
    pub(super) const fn of_index(index: u32) -> Self {
        Self(index)
    }

    /// Which slot of its level it is.
    pub(super) const fn place(self) -> usize {
        (self.0 - first(level_of(self))) as usize
    }
}

/// The file of slots, as mapped by this process.
pub(super) struct Slots {
    file: Descriptor,
    levels: [OnceLock<MmapRaw>; MAX_LEVELS],
    /// How many levels the file was seen to hold.
    backed: AtomicU32,
}

impl Slots {
    /// Maps the first level, and writes the header into an empty file.
    pub(super) fn open(file: OwnedFd) -> Result<Self, OsError> {
        let (file, levels) = (Descriptor::new(file)?, array::from_fn(|_| OnceLock::new()));
        let slots = Self { file, levels, backed: AtomicU32::new(1) };
        slots.reserve(0)?;
        if slots.header(HEADER_MAGIC).load(Acquire) == 0 {
            // Another process that finds it empty at the same time writes the same.
            slots.header(HEADER_FORMAT).store(VERSION | (SLOT_BYTES as u64) << 32, Relaxed);
            let _ = slots.header(HEADER_LEVELS).compare_exchange(0, 1, Relaxed, Relaxed);
            slots.header(HEADER_MAGIC).store(MAGIC, Release);
        }
        let format = VERSION | (SLOT_BYTES as u64) << 32;
        if slots.header(HEADER_MAGIC).load(Acquire) != MAGIC
            || slots.header(HEADER_FORMAT).load(Relaxed) != format
        {
            return Err(OsError::new("mmap", libc::ENOTSUP).advise(format!(
                "The file {FILE} in this user's folder was not written by this version of the library, so it is \
                 left alone: remove it, or use the version that wrote it."
            )));
        }
        Ok(slots)
    }

    /// The count of the entries of a slot's level; the first level has none.
    fn count(&self, id: EntryId) -> Option<&AtomicU64> {
        match level_of(id) {
            0 => None,
            level => Some(self.header(HEADER_COUNTS + level as usize)),
        }
    }

    /// Counts an entry that is about to be written.
    pub(super) fn count_in(&self, id: EntryId) {
        if let Some(count) = self.count(id) {
            count.fetch_add(ARRIVAL, SeqCst);
        }
    }

    /// Takes one off the count that is being erased.
    pub(super) fn count_out(&self, id: EntryId) {
        if let Some(count) = self.count(id) {
            // A damaged count must not wrap round to 0.
            let _ = count.fetch_update(SeqCst, Relaxed, |count| (count & HALF != 0).then(|| count - 1));
        }
    }

    /// The levels that may have entries.
    pub(super) fn occupied(&self) -> impl Iterator<Item = u32> + '_ {
        let counted = |level: u32| self.header(HEADER_COUNTS + level as usize).load(SeqCst) & HALF != 0;
        (0..self.known_levels()).filter(move |level| *level == 0 || counted(*level))
    }

    /// Corrects the count of a level that is found to be empty.
    pub(super) fn correct(&self, level: u32, is_empty: impl FnOnce() -> bool) {
        let count = self.header(HEADER_COUNTS + level as usize);
        let seen = count.load(SeqCst);
        if is_empty() {
            // Only if nobody came meanwhile, and left or not.
            let _ = count.compare_exchange(seen, seen & !HALF, SeqCst, Relaxed);
        }
    }

    /// How many slots the file has room for.
    pub(super) fn capacity(&self) -> usize {
        first(self.known_levels()) as usize - 1
    }

    /// As many as the header says, but no more than the file holds: a damaged number must not have it grown.
    pub(super) fn known_levels(&self) -> u32 {
        let said = self.header(HEADER_LEVELS).load(Acquire).clamp(1, MAX_LEVELS as u64) as u32;
        if said <= self.backed.load(Relaxed) {
            return said;
        }
        let size = self.size();
        let is_backed = |levels: &u32| u64::from(first(*levels)) * SLOT_BYTES as u64 <= size;
        let backed = (1..=MAX_LEVELS as u32).take_while(is_backed).last().unwrap_or(1);
        self.backed.store(backed, Relaxed);
        said.min(backed)
    }

    /// Whether somebody removed the file, or the program closed it.
    pub(super) fn are_lost(&self) -> bool {
        self.file.is_lost()
    }

    /// Current size of the file, in bytes.
    fn size(&self) -> u64 {
        let stat = if self.file.is_open() { fstat(&self.file) } else { Err(Errno::EBADF) };
        stat.map_or(0, |stat| stat.st_size as u64)
    }

    /// Adds a level to the `levels` that were known, unless another process has just done so.
    pub(super) fn grow(&self, levels: u32) -> Result<(), OsError> {
        if levels as usize >= MAX_LEVELS {
            return Err(OsError::new("fallocate", libc::ENOSPC)
                .advise("This user's ledger is full: destroy segments."));
        }
        self.reserve(levels as usize)?;
        self.header(HEADER_LEVELS).fetch_max(u64::from(levels) + 1, Release);
        Ok(())
    }

    /// A level that the file holds, mapped.
    fn level(&self, level: usize) -> Option<&MmapRaw> {
        let known = self.levels.get(level)?;
        // Another process may have grown the file since we mapped it.
        known.get().or_else(|| {
            let end = u64::from(first(level as u32 + 1)) * SLOT_BYTES as u64;
            if self.size() >= end { self.reserve(level).ok() } else { None }
        })
    }

    /// Reserves a level's room, where the file does not have it yet, and maps it.
    fn reserve(&self, level: usize) -> Result<&MmapRaw, OsError> {
        let start = first(level as u32) as usize * SLOT_BYTES;
        let len = (FIRST_LEVEL as usize * SLOT_BYTES) << level;
        let failed = |call, errno: i32| {
            OsError::new(call, errno).advise(match errno {
                libc::EDQUOT => {
                    "The ledger of this user's segments needs room in the file system of its folder, and this \
                     user's quota there is used up: free some, or have it raised."
                }
                _ => "The ledger of this user's segments needs room in the file system of its folder.",
            })
        };
        if !self.file.is_open() {
            return Err(OsError::new("fallocate", libc::EBADF)
                .advise("Somebody closed the descriptor of this library's ledger: try again."));
        }
        let end = (start + len) as u64;
        if self.size() < end && is_beyond_file_limit(end) {
            let advice = format!("The ledger of this user's segments takes {end} bytes (`ulimit -f`).");
            return Err(OsError::new("fallocate", libc::EFBIG).advise(advice));
        }
        reserve_file(self.file.as_fd(), start as u64, len as u64)
            .map_err(|(call, errno)| failed(call, errno as i32))?;
        let mapped = MmapOptions::new().offset(start as u64).len(len).map_raw(self.file.as_fd().as_raw_fd());
        let mapped = mapped.map_err(|error| failed("mmap", error.raw_os_error().unwrap_or(libc::ENOMEM)))?;
        Ok(self.levels[level].get_or_init(|| mapped))
    }

    /// A slot; `None` if the file does not hold it.
    pub(super) fn get(&self, id: EntryId) -> Option<&Slot> {
        let level = level_of(id);
        self.of_level(level)?.get(id.place())
    }

    /// The slots of a level.
    pub(super) fn of_level(&self, level: u32) -> Option<&[Slot]> {
        let mapped = self.level(level as usize)?;
        let start = mapped.as_mut_ptr().cast::<Slot>();
        // SAFETY: `reserve` gave this level so many slots; the mapping lives as long as `self`, is aligned to a page,
        // and atomic words hold any value, even if another process writes them.
        Some(unsafe { slice::from_raw_parts(start, (FIRST_LEVEL << level) as usize) })
    }

    /// The slots in which a hash's entry may lie, level by level.
    pub(super) fn window(&self, levels: u32, hash: u32) -> impl Iterator<Item = (EntryId, &Slot)> {
        (0..levels).flat_map(move |level| self.window_of(level, hash))
    }

    /// Those of one level.
    pub(super) fn window_of(
        &self,
        level: u32,
        hash: u32,
    ) -> impl Iterator<Item = (EntryId, &Slot)> + use<'_> {
        self.of_level(level).into_iter().flat_map(move |slots| {
            let place = move |step| hash.wrapping_add(step) as usize & (slots.len() - 1);
            let slots = (0..WINDOW)
                .map(move |step| (EntryId(first(level) + place(step) as u32), &slots[place(step)]));
            slots.filter(|(id, _)| id.0 != 0) // the header
        })
    }

    fn header(&self, word: usize) -> &AtomicU64 {
        &self.get(EntryId(0)).expect("open() mapped the first level")[word]
    }
}

/// The level that a slot lies in.
pub(super) const fn level_of(id: EntryId) -> u32 {
    (id.0 / FIRST_LEVEL + 1).ilog2()
}

/// The index of a level's first slot; level 0 begins with the header.
pub(super) const fn first(level: u32) -> u32 {
    FIRST_LEVEL * ((1 << level) - 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

    impl Slots {
        pub(in super::super) fn mapped_levels(&self) -> usize {
            self.levels.iter().filter(|level| level.get().is_some()).count()
        }
    }

    /// An empty file that has no name any more.
    pub(in super::super) fn file() -> OwnedFd {
        let [file] = opened();
        file
    }

    /// The same, opened several times.
    pub(in super::super) fn opened<const TIMES: usize>() -> [OwnedFd; TIMES] {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("shm-ledger-{}-{count}", std::process::id()));
        let mut options = fs::File::options();
        options.read(true).write(true).create(true).truncate(false);
        let files = array::from_fn(|_| options.open(&path).unwrap().into());
        fs::remove_file(path).unwrap();
        files
    }

    #[test]
    fn a_newer_ledger_is_left_alone() {
        let newer = file();
        Slots::open(newer.try_clone().unwrap()).unwrap().header(HEADER_FORMAT).store(2, Relaxed);
        assert_eq!(Slots::open(newer).err().unwrap().errno(), libc::ENOTSUP);
    }

    #[test]
    fn a_ledger_with_too_many_levels_in_its_header_is_not_followed() {
        let slots = Slots::open(file()).unwrap();
        slots.header(HEADER_LEVELS).store(u64::MAX, Relaxed);
        for levels in 1..5 {
            assert_eq!(slots.known_levels(), levels);
            slots.grow(levels).unwrap();
        }
    }
}
