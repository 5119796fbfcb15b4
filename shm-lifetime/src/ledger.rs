//! The records of the segments that this user created.
//!
//! One mapped file of 512-byte slots. The first slot is the header, each other one free or one record. Slots
//! come in levels of 128, 256, 512 … ; a record lies in one of eight slots per level that its name's hash
//! points to. So a look-up reads a few slots, however many segments there are, growing moves nothing, and a
//! slot that is erased is used again.
//!
//! Each level's room is reserved before it is mapped: on a full file system that is `ENOSPC`, where a touch of
//! a hole would be SIGBUS. All words are atomic, and a record is checked before it is believed.
//!
//! A level once made stays, so each but the first has a word of the header that counts its records: an empty one is
//! neither looked into nor swept. A record is counted before it is written and until it is erased, so the count may be
//! too high, after a crash, until a sweep finds the level empty, and is never too low.
//!
//! A slot changes hands by compare-and-swap of its first word, which also holds the hash: whoever gets that
//! name's lock and finds the slot claimed but not written knows that its writer is dead.

use crate::{Class, Lifetime, ObjectId, descriptor::Descriptor, is_beyond_file_limit, reserve_file};
use memmap2::{MmapOptions, MmapRaw};
use nix::{errno::Errno, sys::stat::fstat};
use shm_api::{CreateOptions, OsError};
use std::{
    array,
    ffi::CStr,
    fmt,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    slice,
    sync::{
        OnceLock,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
        },
    },
    time::UNIX_EPOCH,
};

/// The file's name. A version that lays records out in another way takes another name, and leaves this alone.
pub(crate) const FILE: &str = "ledger.1";

const MAGIC: u64 = u64::from_le_bytes(*b"shmledgr");
const VERSION: u64 = 1;
const SLOT_WORDS: usize = 64;
const SLOT_BYTES: usize = SLOT_WORDS * 8;
const FIRST_LEVEL: u32 = 128;
const MAX_LEVELS: usize = 14;
const WINDOW: u32 = 8;

const FREE: u64 = 0;
const CLAIMED: u64 = 1;
const RECORDED: u64 = 2;
const PHASE: u64 = 0xff;

const HEADER_MAGIC: usize = 0;
const HEADER_FORMAT: usize = 1;
const HEADER_LEVELS: usize = 2;
/// From here on a word for each level: in its lower half how many records it has, in its upper half how many came.
const HEADER_COUNTS: usize = 16;
const ARRIVAL: u64 = 1 << 32 | 1;

const STATE: usize = 0;
const KIND: usize = 1;
const PID_NAMESPACE: usize = 2;
const NAMESPACE: usize = 3;
const OBJECT: usize = 4;
const CREATED: usize = 5;
const KEY: usize = 6;
const SIZE: usize = 7;
const NAME: usize = 8;
/// When the object was born, if the next word is the one at `CREATED`: an earlier version of the library leaves both as
/// they are, and so leaves there what belongs to another record.
const BORN: usize = 40;
const BORN_OF: usize = 41;
/// Its group, on the same condition.
const GID: usize = 42;

type Slot = [AtomicU64; SLOT_WORDS];

/// Which backend a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BackendId {
    /// System V.
    SysV = 1,
    /// POSIX.
    Posix = 2,
}

/// A segment's name as a record holds it: plain bytes, so that a signal handler can use them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a signal handler reads it, so it cannot be boxed")]
pub enum RecordName {
    /// A System V key.
    Key(u32),
    /// A POSIX object's name without its slash, ended by a NUL.
    Name([u8; 256]),
}

impl RecordName {
    /// A POSIX name; `None` if it holds a NUL or is longer than 255 bytes.
    pub fn from_bare(bare: &str) -> Option<Self> {
        let mut bytes = [0; 256];
        if bare.len() >= bytes.len() || bare.contains('\0') {
            return None;
        }
        bytes[..bare.len()].copy_from_slice(bare.as_bytes());
        Some(Self::Name(bytes))
    }

    /// The POSIX name as C has it; empty for a System V key.
    pub fn as_c_str(&self) -> &CStr {
        match self {
            Self::Key(_) => c"",
            Self::Name(bytes) => CStr::from_bytes_until_nul(bytes).unwrap_or_default(),
        }
    }

    /// The byte of the lock files that stands for this name, the same in every version of the library:
    /// FNV-1a, 32 bits, of the backend's number and the key's four bytes or the name's.
    pub fn lock_byte(&self) -> u32 {
        let fnv = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        let of =
            |backend: BackendId, bytes: &[u8]| bytes.iter().fold(fnv(0x811c_9dc5, &(backend as u8)), fnv);
        match self {
            Self::Key(key) => of(BackendId::SysV, &key.to_le_bytes()),
            Self::Name(_) => of(BackendId::Posix, self.as_c_str().to_bytes()),
        }
    }

    /// Whose name it is.
    pub const fn backend(&self) -> BackendId {
        match self {
            Self::Key(_) => BackendId::SysV,
            Self::Name(_) => BackendId::Posix,
        }
    }
}

impl fmt::Debug for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "0x{key:08x}"),
            Self::Name(_) => write!(f, "{:?}", self.as_c_str()),
        }
    }
}

/// One segment that this user created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is called.
    pub name: RecordName,
    /// A detach and a sweep leave it alone.
    pub persist: bool,
    /// The permission bits that it was created with.
    pub mode: u32,
    /// Its group; `None` is unknown.
    pub gid: Option<u32>,
    /// The process that created it, in its own pid namespace.
    pub pid: u32,
    /// That namespace; 0 is unknown.
    pub pid_namespace: u64,
    /// System V: the IPC namespace. POSIX: the device. Where the object id below means something; 0 is unknown.
    /// On macOS, for both: the boot.
    pub namespace: u64,
    /// Which object it is; `None` until the segment exists.
    pub object: Option<ObjectId>,
    /// When it was created, in nanoseconds since 1970.
    pub created: u64,
    /// The bytes that its creator asked for; 0 is unknown.
    pub size: u64,
}

impl Record {
    /// The record of a segment that this process is about to create in `namespace`.
    pub fn of_this_process(
        name: RecordName,
        lifetime: &Lifetime,
        options: &CreateOptions,
        namespace: u64,
    ) -> Self {
        Self {
            name,
            persist: options.persists(),
            mode: options.permissions().bits(),
            gid: Some(nix::unistd::getegid().as_raw()),
            pid: lifetime.pid(),
            pid_namespace: lifetime.namespaces().pid,
            namespace,
            object: None,
            created: UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64),
            size: options.size().get() as u64,
        }
    }

    /// Whether it stands for that object, as far as both tell.
    pub fn is_about(&self, object: ObjectId) -> bool {
        self.object.is_some_and(|ours| ours.matches(object))
    }

    /// Who may open the segment.
    pub fn class(&self) -> Class {
        match self.gid {
            Some(gid) => Class::of(self.mode, gid),
            None => Class::Owner,
        }
    }
}

/// A place in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(u32);

/// One user's ledger, as mapped by this process.
pub struct Ledger {
    file: Descriptor,
    levels: [OnceLock<MmapRaw>; MAX_LEVELS],
    /// How many levels the file was seen to hold.
    backed: AtomicU32,
    /// Per slot, how often this process holds the segment on record there: see [`Ledger::hold`].
    held: [OnceLock<Box<[AtomicU64]>>; MAX_LEVELS],
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("levels", &self.header(HEADER_LEVELS).load(Relaxed))
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Maps the ledger in `file`, and makes an empty one of an empty file.
    ///
    /// # Errors
    ///
    /// `ENOSPC` where there is no room for it, `ENOTSUP` where it is not of this version.
    pub(crate) fn open(file: OwnedFd) -> Result<Self, OsError> {
        let (levels, held) = (array::from_fn(|_| OnceLock::new()), array::from_fn(|_| OnceLock::new()));
        let file = Descriptor::new(file)?;
        let ledger = Self { file, levels, backed: AtomicU32::new(1), held };
        ledger.reserve(0)?;
        if ledger.header(HEADER_MAGIC).load(Acquire) == 0 {
            // Whoever else finds it empty at the same time writes the same.
            ledger.header(HEADER_FORMAT).store(VERSION | (SLOT_BYTES as u64) << 32, Relaxed);
            let _ = ledger.header(HEADER_LEVELS).compare_exchange(0, 1, Relaxed, Relaxed);
            ledger.header(HEADER_MAGIC).store(MAGIC, Release);
        }
        let format = VERSION | (SLOT_BYTES as u64) << 32;
        if ledger.header(HEADER_MAGIC).load(Acquire) != MAGIC
            || ledger.header(HEADER_FORMAT).load(Relaxed) != format
        {
            return Err(OsError::new("mmap", libc::ENOTSUP).advise(format!(
                "The file {FILE} in this user's folder was not written by this version of the library, so it is \
                 left alone: remove it, or use the version that wrote it."
            )));
        }
        Ok(ledger)
    }

    /// Writes a record into a free slot.
    ///
    /// # Errors
    ///
    /// `ENOSPC` where the ledger cannot grow.
    pub fn insert(&self, record: &Record) -> Result<SlotId, OsError> {
        let hash = record.name.lock_byte();
        let state = u64::from(hash) << 32;
        loop {
            let levels = self.known_levels();
            for (id, slot) in self.window(levels, hash) {
                if slot[STATE].load(Relaxed) != FREE {
                    continue;
                }
                self.count(id).map(|count| count.fetch_add(ARRIVAL, SeqCst));
                crate::step();
                if slot[STATE].compare_exchange(FREE, state | CLAIMED, Acquire, Relaxed).is_ok() {
                    crate::step();
                    write(slot, record);
                    slot[STATE].store(state | RECORDED, Release);
                    return Ok(id);
                }
                self.uncount(id);
            }
            self.grow(levels)?;
        }
    }

    /// Notes which object a record stands for, once it exists; `None` where it was to be another and is not made.
    pub fn set_object(&self, id: SlotId, object: Option<ObjectId>) {
        if let Some(slot) = self.slot(id) {
            write_object(slot, object);
        }
    }

    /// Erases a record: its segment is gone.
    pub fn erase(&self, id: SlotId) {
        if let Some(slot) = self.slot(id)
            && slot[STATE].swap(FREE, AcqRel) != FREE
        {
            crate::step();
            self.uncount(id);
        }
    }

    /// The count of the records of a slot's level; the first level has none.
    fn count(&self, id: SlotId) -> Option<&AtomicU64> {
        match level_of(id) {
            0 => None,
            level => Some(self.header(HEADER_COUNTS + level as usize)),
        }
    }

    fn uncount(&self, id: SlotId) {
        if let Some(count) = self.count(id) {
            // Whoever damages the count must not have it wrap round to nothing.
            let _ = count.fetch_update(SeqCst, Relaxed, |count| (count & HALF != 0).then(|| count - 1));
        }
    }

    /// The levels that may have records.
    fn occupied(&self) -> impl Iterator<Item = u32> + '_ {
        let counted = |level: u32| self.header(HEADER_COUNTS + level as usize).load(SeqCst) & HALF != 0;
        (0..self.known_levels()).filter(move |level| *level == 0 || counted(*level))
    }

    /// The record in a slot; `None` where there is none, or none to be believed.
    pub fn get(&self, id: SlotId) -> Option<Record> {
        let slot = self.slot(id)?;
        let state = slot[STATE].load(Acquire);
        if state & PHASE != RECORDED {
            return None;
        }
        let record = read(slot)?;
        (u64::from(record.name.lock_byte()) == state >> 32).then_some(record)
    }

    /// The record of a name.
    pub fn find(&self, name: &RecordName) -> Option<(SlotId, Record)> {
        let hash = name.lock_byte();
        self.occupied().flat_map(|level| self.window_of(level, hash)).find_map(|(id, slot)| {
            let state = slot[STATE].load(Relaxed);
            if state >> 32 != u64::from(hash) || state & PHASE != RECORDED {
                return None;
            }
            let record = self.get(id).filter(|record| record.name == *name)?;
            Some((id, record))
        })
    }

    /// Every slot that is not free, with the name's lock byte.
    pub fn taken(&self) -> impl Iterator<Item = (SlotId, u32)> + '_ {
        self.occupied()
            .flat_map(|level| (first(level)..first(level + 1)).skip(usize::from(level == 0)))
            .filter_map(|index| {
                let state = self.slot(SlotId(index))?[STATE].load(Acquire);
                (state != FREE).then_some((SlotId(index), (state >> 32) as u32))
            })
    }

    /// Corrects the counts of levels that are empty: of those who died in the middle of one.
    pub(crate) fn recount(&self) {
        for level in self.occupied().filter(|level| *level != 0) {
            let is_free = |slot: &Slot| slot[STATE].load(SeqCst) == FREE;
            self.correct(level, || self.slots(level).is_some_and(|slots| slots.iter().all(is_free)));
        }
    }

    /// Corrects the count of a level that is found to be empty.
    fn correct(&self, level: u32, is_empty: impl FnOnce() -> bool) {
        let count = self.header(HEADER_COUNTS + level as usize);
        let seen = count.load(SeqCst);
        if is_empty() {
            // Only if nobody came meanwhile, and left or not.
            let _ = count.compare_exchange(seen, seen & !HALF, SeqCst, Relaxed);
        }
    }

    /// Whether a slot is still taken by a name of that lock byte.
    pub fn taken_by(&self, id: SlotId, byte: u32) -> bool {
        self.slot(id).is_some_and(|slot| {
            let state = slot[STATE].load(Acquire);
            state != FREE && (state >> 32) as u32 == byte
        })
    }

    /// Counts an attachment by this process. A slot's word holds half a word of the object's id and the count, so that
    /// a slot that changed hands starts anew.
    pub(crate) fn hold(&self, id: SlotId, object: ObjectId) {
        let level = level_of(id);
        let words = || (0..FIRST_LEVEL << level).map(|_| AtomicU64::new(0)).collect();
        let word = &self.held[level as usize].get_or_init(words)[(id.0 - first(level)) as usize];
        let _ = word.fetch_update(Relaxed, Relaxed, |count| {
            let same = count >> 32 == half(object);
            Some(if same { count + 1 } else { half(object) << 32 | 1 })
        });
    }

    /// Takes an attachment of this process off the count; tells whether it has others. Safe in a signal handler.
    pub(crate) fn let_go(&self, id: SlotId, object: ObjectId) -> bool {
        let level = level_of(id);
        let Some(words) = self.held[level as usize].get() else { return false };
        let word = &words[(id.0 - first(level)) as usize];
        let taken_off = |count: u64| (count >> 32 == half(object) && count & HALF != 0).then(|| count - 1);
        word.fetch_update(Relaxed, Relaxed, taken_off).is_ok_and(|count| count & HALF > 1)
    }

    /// How many slots the file has room for.
    pub fn capacity(&self) -> usize {
        first(self.known_levels()) as usize - 1
    }

    /// As many as the header says, but no more than the file holds: a damaged number must not have it grown.
    fn known_levels(&self) -> u32 {
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

    /// The file's.
    fn size(&self) -> u64 {
        let stat = if self.file.is_open() { fstat(&self.file) } else { Err(Errno::EBADF) };
        stat.map_or(0, |stat| stat.st_size as u64)
    }

    fn grow(&self, levels: u32) -> Result<(), OsError> {
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
        reserve_file::reserve(self.file.as_fd(), start as u64, len as u64)
            .map_err(|(call, errno)| failed(call, errno as i32))?;
        let mapped = MmapOptions::new().offset(start as u64).len(len).map_raw(self.file.as_fd().as_raw_fd());
        let mapped = mapped.map_err(|error| failed("mmap", error.raw_os_error().unwrap_or(libc::ENOMEM)))?;
        Ok(self.levels[level].get_or_init(|| mapped))
    }

    fn slot(&self, id: SlotId) -> Option<&Slot> {
        let level = level_of(id);
        self.slots(level)?.get((id.0 - first(level)) as usize)
    }

    /// The slots of a level.
    fn slots(&self, level: u32) -> Option<&[Slot]> {
        let mapped = self.level(level as usize)?;
        let start = mapped.as_mut_ptr().cast::<Slot>();
        // SAFETY: `reserve` gave this level so many slots; the mapping lives as long as `self`, is aligned to a page,
        // and atomic words hold any value, whoever writes them.
        Some(unsafe { slice::from_raw_parts(start, (FIRST_LEVEL << level) as usize) })
    }

    /// The slots in which a hash's record may lie, level by level.
    fn window(&self, levels: u32, hash: u32) -> impl Iterator<Item = (SlotId, &Slot)> {
        (0..levels).flat_map(move |level| self.window_of(level, hash))
    }

    fn window_of(&self, level: u32, hash: u32) -> impl Iterator<Item = (SlotId, &Slot)> + use<'_> {
        self.slots(level).into_iter().flat_map(move |slots| {
            let place = move |step| hash.wrapping_add(step) as usize & (slots.len() - 1);
            let slots =
                (0..WINDOW).map(move |step| (SlotId(first(level) + place(step) as u32), &slots[place(step)]));
            slots.filter(|(id, _)| id.0 != 0) // the header
        })
    }

    fn header(&self, word: usize) -> &AtomicU64 {
        &self.slot(SlotId(0)).expect("open() mapped the first level")[word]
    }
}

const HALF: u64 = u32::MAX as u64;

/// Half a word that tells apart the objects that have one slot in turn.
const fn half(object: ObjectId) -> u64 {
    (object.number ^ object.born) & HALF
}

const fn level_of(id: SlotId) -> u32 {
    (id.0 / FIRST_LEVEL + 1).ilog2()
}

/// The index of a level's first slot; level 0 begins with the header.
const fn first(level: u32) -> u32 {
    FIRST_LEVEL * ((1 << level) - 1)
}

/// The number is stored plus one: 0 is none.
fn write_object(slot: &Slot, object: Option<ObjectId>) {
    slot[BORN].store(object.map_or(0, |object| object.born), Relaxed);
    slot[OBJECT].store(object.map_or(0, |object| object.number + 1), Release);
}

fn read_object(slot: &Slot, created: u64) -> Option<ObjectId> {
    let number = slot[OBJECT].load(Acquire).checked_sub(1)?;
    let born = if slot[BORN_OF].load(Relaxed) == created { slot[BORN].load(Relaxed) } else { 0 };
    Some(ObjectId { number, born })
}

fn write(slot: &Slot, record: &Record) {
    let flags = u64::from(record.persist) << 8 | u64::from(record.mode & 0o777) << 16;
    slot[KIND].store(record.name.backend() as u64 | flags | u64::from(record.pid) << 32, Relaxed);
    slot[PID_NAMESPACE].store(record.pid_namespace, Relaxed);
    slot[NAMESPACE].store(record.namespace, Relaxed);
    slot[CREATED].store(record.created, Relaxed);
    slot[BORN_OF].store(record.created, Relaxed);
    write_object(slot, record.object);
    slot[SIZE].store(record.size, Relaxed);
    slot[GID].store(record.gid.map_or(u64::MAX, u64::from), Relaxed);
    match &record.name {
        RecordName::Key(key) => slot[KEY].store(u64::from(*key), Relaxed),
        RecordName::Name(bytes) => {
            for (word, bytes) in slot[NAME..].iter().zip(bytes.chunks_exact(8)) {
                word.store(u64::from_ne_bytes(array::from_fn(|index| bytes[index])), Relaxed);
            }
        }
    }
}

fn read(slot: &Slot) -> Option<Record> {
    let kind = slot[KIND].load(Relaxed);
    let name = match kind as u8 {
        1 => RecordName::Key(u32::try_from(slot[KEY].load(Relaxed)).ok().filter(|key| *key != 0)?),
        2 => {
            let mut bytes = [0; 256];
            for (word, bytes) in slot[NAME..].iter().zip(bytes.chunks_exact_mut(8)) {
                bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
            }
            let name = CStr::from_bytes_until_nul(&bytes).ok()?.to_bytes();
            // A name that climbs out of the folder was not written by us.
            if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
                return None;
            }
            RecordName::Name(bytes)
        }
        _ => return None,
    };
    let created = slot[CREATED].load(Relaxed);
    Some(Record {
        name,
        persist: kind >> 8 & 1 != 0,
        mode: (kind >> 16) as u32 & 0o777,
        gid: u32::try_from(slot[GID].load(Relaxed)).ok().filter(|_| slot[BORN_OF].load(Relaxed) == created),
        pid: (kind >> 32) as u32,
        pid_namespace: slot[PID_NAMESPACE].load(Relaxed),
        namespace: slot[NAMESPACE].load(Relaxed),
        object: read_object(slot, created),
        created,
        size: slot[SIZE].load(Relaxed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// An empty file that has no name any more.
    fn file() -> OwnedFd {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("shm-ledger-{}-{count}", std::process::id()));
        let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        fs::remove_file(path).unwrap();
        file.into()
    }

    fn record(name: RecordName) -> Record {
        let (persist, mode, gid, pid, pid_namespace) = (false, 0o640, Some(0), 7, 8);
        let (namespace, object, created, size) = (9, None, 10, 11);
        Record { name, persist, mode, gid, pid, pid_namespace, namespace, object, created, size }
    }

    #[test]
    fn a_record_is_found_by_its_name_as_it_was_written() {
        let ledger = Ledger::open(file()).unwrap();
        for name in [RecordName::Key(42), RecordName::from_bare(&"n".repeat(255)).unwrap()] {
            let id = ledger.insert(&record(name)).unwrap();
            assert_eq!(ledger.find(&name), Some((id, record(name))));
            for object in [0.into(), ObjectId { number: 5, born: 6 }] {
                ledger.set_object(id, Some(object));
                assert_eq!(ledger.get(id).unwrap().object, Some(object));
            }
            ledger.erase(id);
            assert_eq!(ledger.find(&name), None);
        }
    }

    /// In the words that earlier versions know, and without those that they do not.
    #[test]
    fn earlier_versions_understand_a_record_and_theirs_are_understood() {
        let ledger = Ledger::open(file()).unwrap();
        let name = RecordName::from_bare("name").unwrap();
        let of = |object| Record { object: Some(object), ..record(name) };
        let (ours, theirs) = (ObjectId { number: 5, born: 6 }, ObjectId { number: 7, born: 0 });
        let id = ledger.insert(&of(ours)).unwrap();
        let slot = ledger.slot(id).unwrap();
        assert_eq!(slot[OBJECT].load(Relaxed), 6, "the inode, plus one");
        // One of theirs in the same slot, whose other words stay as they were.
        slot[OBJECT].store(8, Relaxed);
        slot[CREATED].store(11, Relaxed);
        assert_eq!(ledger.get(id), Some(Record { created: 11, gid: None, ..of(theirs) }));
    }

    #[test]
    fn two_processes_see_one_ledger_and_its_growth() {
        let ours = file();
        let theirs = Ledger::open(ours.try_clone().unwrap()).unwrap();
        let ours = Ledger::open(ours).unwrap();
        for key in 1..=5000 {
            ours.insert(&record(RecordName::Key(key))).unwrap();
        }
        assert!((1..=5000).all(|key| theirs.find(&RecordName::Key(key)).is_some()));
        assert_eq!(theirs.taken().count(), 5000);
    }

    #[test]
    fn levels_that_are_empty_again_are_not_looked_into() {
        let file = file();
        let ledger = Ledger::open(file.try_clone().unwrap()).unwrap();
        let ids: Vec<_> =
            (1..=5000).map(|key| ledger.insert(&record(RecordName::Key(key))).unwrap()).collect();
        assert!(ledger.occupied().count() > 3);
        for id in &ids[1..] {
            ledger.erase(*id);
            ledger.erase(*id); // it is not counted twice
        }
        assert_eq!(ledger.find(&RecordName::Key(1)).map(|(id, _)| id), Some(ids[0]));
        assert!(ledger.occupied().count() <= 2);
        ledger.erase(ids[0]);
        assert_eq!(ledger.occupied().collect::<Vec<_>>(), [0]);

        let next = Ledger::open(file).unwrap();
        assert_eq!(next.taken().count(), 0);
        assert!(next.levels[1..].iter().all(|level| level.get().is_none()), "they are not even mapped");
    }

    #[test]
    fn the_count_of_one_who_died_in_the_middle_is_corrected() {
        let ledger = Ledger::open(file()).unwrap();
        let ids: Vec<_> =
            (1..=300).map(|key| ledger.insert(&record(RecordName::Key(key))).unwrap()).collect();
        let upper = *ids.iter().find(|id| level_of(**id) == 1).unwrap();
        ledger.count(upper).unwrap().fetch_add(ARRIVAL, SeqCst);
        ledger.recount();
        for id in ids {
            assert!(ledger.get(id).is_some());
            ledger.erase(id);
        }
        assert!(ledger.occupied().any(|level| level == 1));
        ledger.recount();
        assert!(ledger.occupied().all(|level| level == 0));
    }

    #[test]
    fn one_who_comes_while_a_level_is_looked_through_is_not_counted_out() {
        let ledger = Ledger::open(file()).unwrap();
        // Slots of the second level that one name's record goes to once the first level has no room for it.
        let mut upper = Vec::new();
        let mut key = 0;
        let mut next = || {
            key += 1;
            RecordName::Key(key)
        };
        while upper.len() < 2 {
            let name = next();
            let id = ledger.insert(&record(name)).unwrap();
            if level_of(id) == 1 {
                upper.push((id, name));
            }
        }
        let [(stays, name), (leaves, _)] = upper[..] else { unreachable!() };
        ledger.erase(stays);
        // One has come to a place that was seen to be free, and one has left a place that is looked at next.
        ledger.correct(1, || {
            assert_eq!(ledger.insert(&record(name)).unwrap(), stays);
            ledger.erase(leaves);
            true
        });
        assert_eq!(ledger.find(&name).map(|(id, _)| id), Some(stays));
        assert!(ledger.taken().any(|(id, ..)| id == stays));
    }

    #[test]
    fn space_does_not_grow_with_the_segments_ever_created() {
        let ledger = Ledger::open(file()).unwrap();
        for key in 1..=100_000 {
            let id = ledger.insert(&record(RecordName::Key(key))).unwrap();
            ledger.erase(id);
        }
        assert_eq!(ledger.capacity(), 127);
    }

    #[test]
    fn a_process_knows_how_often_it_holds_a_segment() {
        let ledger = Ledger::open(file()).unwrap();
        let slot = ledger.insert(&record(RecordName::Key(1))).unwrap();
        let (one, other) = (ObjectId { number: 5, born: 6 }, ObjectId { number: 5, born: 7 });
        ledger.hold(slot, one);
        ledger.hold(slot, one);
        assert!(ledger.let_go(slot, one), "one is left");
        ledger.hold(slot, other);
        assert!(!ledger.let_go(slot, one), "the slot has another segment now");
        assert!(!ledger.let_go(slot, other), "none is left");
        assert!(!ledger.let_go(slot, other));
    }

    #[test]
    fn a_damaged_record_is_not_believed() {
        let ledger = Ledger::open(file()).unwrap();
        let id = ledger.insert(&record(RecordName::from_bare("name").unwrap())).unwrap();
        let slot = ledger.slot(id).unwrap();
        slot[NAME].store(u64::from_ne_bytes(*b"../etc\0\0"), Relaxed);
        assert_eq!(ledger.get(id), None);
        slot[NAME].store(u64::from_ne_bytes(*b"other\0\0\0"), Relaxed);
        assert_eq!(ledger.get(id), None, "its hash is another name's");
        slot[KIND].store(77, Relaxed);
        assert_eq!(ledger.get(id), None);
        assert_eq!(ledger.taken().count(), 1, "but a sweep sees that the slot is taken");
    }

    #[test]
    fn a_newer_ledger_is_left_alone() {
        let newer = file();
        Ledger::open(newer.try_clone().unwrap()).unwrap().header(HEADER_FORMAT).store(2, Relaxed);
        assert_eq!(Ledger::open(newer).unwrap_err().errno(), libc::ENOTSUP);
    }

    #[test]
    fn a_ledger_that_claims_more_levels_than_can_be_is_not_followed() {
        let ledger = Ledger::open(file()).unwrap();
        ledger.header(HEADER_LEVELS).store(u64::MAX, Relaxed);
        assert_eq!(ledger.known_levels(), 1);
        for key in 1..=1000 {
            ledger.insert(&record(RecordName::Key(key))).unwrap();
        }
        assert_eq!(ledger.taken().count(), 1000);
    }
}
