//! What an entry says, and how it lies in the words of a slot.
//!
//! A slot's first word is not part of it: that says whether the slot is taken, see [`Ledger`](super::Ledger). Words are
//! written and read one by one, so a reader may see those of two entries. It believes only what may be an entry; its
//! caller then compares the name's hash, and has the name's lock where more depends on it.

use super::slots::Slot;
use crate::{Class, ObjectId};
use std::{
    array,
    ffi::CStr,
    fmt,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

const KIND: usize = 1;
const PID_NAMESPACE: usize = 2;
const NAMESPACE: usize = 3;
const OBJECT: usize = 4;
const CREATED: usize = 5;
const KEY: usize = 6;
const SIZE: usize = 7;
const NAME: usize = 8;
/// When the object was born, if the next word is the one at `CREATED`: an earlier version of the library leaves both as
/// they are, and so leaves there what belongs to another entry.
const BORN: usize = 40;
const BORN_OF: usize = 41;
/// Its group, on the same condition.
const GID: usize = 42;

/// Which backend an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BackendId {
    /// System V.
    SysV = 1,
    /// POSIX.
    Posix = 2,
}

/// A segment's name as an entry holds it: plain bytes, so that a signal handler can use them.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a signal handler reads it, so it cannot be boxed")]
pub enum EntryName {
    /// A System V key.
    Key(u32),
    /// A POSIX object's name without its slash, ended by a NUL.
    Name([u8; 256]),
}

impl EntryName {
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

    /// The backend to which the name belongs.
    pub const fn backend(&self) -> BackendId {
        match self {
            Self::Key(_) => BackendId::SysV,
            Self::Name(_) => BackendId::Posix,
        }
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "0x{key:08x}"),
            Self::Name(_) => write!(f, "{:?}", self.as_c_str()),
        }
    }
}

/// One segment that this user created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub name: EntryName,
    /// Whether the segment persists: a detach and a sweep do not destroy it.
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

impl Entry {
    /// Whether it stands for that object, as far as both are known.
    pub fn is_about(&self, object: ObjectId) -> bool {
        self.object.is_some_and(|ours| ours.matches(object))
    }

    /// The users who may open the segment.
    pub fn class(&self) -> Class {
        match self.gid {
            Some(gid) => Class::of(self.mode, gid),
            None => Class::Owner,
        }
    }
}

/// Writes which object an entry stands for. The number is stored plus one: 0 is none.
pub(super) fn write_object(slot: &Slot, object: Option<ObjectId>) {
    slot[BORN].store(object.map_or(0, |object| object.born), Relaxed);
    slot[OBJECT].store(object.map_or(0, |object| object.number + 1), Release);
}

fn read_object(slot: &Slot, created: u64) -> Option<ObjectId> {
    let number = slot[OBJECT].load(Acquire).checked_sub(1)?;
    let born = if slot[BORN_OF].load(Relaxed) == created { slot[BORN].load(Relaxed) } else { 0 };
    Some(ObjectId { number, born })
}

/// Writes an entry into a slot.
pub(super) fn write(slot: &Slot, entry: &Entry) {
    let flags = u64::from(entry.persist) << 8 | u64::from(entry.mode & 0o777) << 16;
    slot[KIND].store(entry.name.backend() as u64 | flags | u64::from(entry.pid) << 32, Relaxed);
    slot[PID_NAMESPACE].store(entry.pid_namespace, Relaxed);
    slot[NAMESPACE].store(entry.namespace, Relaxed);
    slot[CREATED].store(entry.created, Relaxed);
    slot[BORN_OF].store(entry.created, Relaxed);
    write_object(slot, entry.object);
    slot[SIZE].store(entry.size, Relaxed);
    slot[GID].store(entry.gid.map_or(u64::MAX, u64::from), Relaxed);
    match &entry.name {
        EntryName::Key(key) => slot[KEY].store(u64::from(*key), Relaxed),
        EntryName::Name(bytes) => {
            for (word, bytes) in slot[NAME..].iter().zip(bytes.chunks_exact(8)) {
                word.store(u64::from_ne_bytes(array::from_fn(|index| bytes[index])), Relaxed);
            }
        }
    }
}

/// The entry in a slot; `None` if it is damaged.
pub(super) fn read(slot: &Slot) -> Option<Entry> {
    let kind = slot[KIND].load(Relaxed);
    let name = match kind as u8 {
        1 => EntryName::Key(u32::try_from(slot[KEY].load(Relaxed)).ok().filter(|key| *key != 0)?),
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
            EntryName::Name(bytes)
        }
        _ => return None,
    };
    let created = slot[CREATED].load(Relaxed);
    Some(Entry {
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
pub(super) mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    pub(in super::super) fn entry(name: EntryName) -> Entry {
        let (persist, mode, gid, pid, pid_namespace) = (false, 0o640, Some(0), 7, 8);
        let (namespace, object, created, size) = (9, None, 10, 11);
        Entry { name, persist, mode, gid, pid, pid_namespace, namespace, object, created, size }
    }

    /// In the words that earlier versions know, and without those that they do not.
    #[test]
    fn earlier_versions_understand_an_entry_and_theirs_are_understood() {
        let slot: Slot = [const { AtomicU64::new(0) }; _];
        let name = EntryName::from_bare("name").unwrap();
        let of = |object| Entry { object: Some(object), ..entry(name) };
        let (ours, theirs) = (ObjectId { number: 5, born: 6 }, ObjectId { number: 7, born: 0 });
        write(&slot, &of(ours));
        assert_eq!(slot[OBJECT].load(Relaxed), 6, "the inode, plus one");
        // One of theirs in the same slot, whose other words stay as they were.
        slot[OBJECT].store(8, Relaxed);
        slot[CREATED].store(11, Relaxed);
        assert_eq!(read(&slot), Some(Entry { created: 11, gid: None, ..of(theirs) }));
    }

    #[test]
    fn a_damaged_entry_is_not_used() {
        let slot: Slot = [const { AtomicU64::new(0) }; _];
        write(&slot, &entry(EntryName::from_bare("name").unwrap()));
        slot[NAME].store(u64::from_ne_bytes(*b"../etc\0\0"), Relaxed);
        assert_eq!(read(&slot), None);
        slot[NAME].store(u64::from_ne_bytes(*b"other\0\0\0"), Relaxed);
        assert!(read(&slot).is_some());
        slot[KIND].store(77, Relaxed);
        assert_eq!(read(&slot), None);
    }
}
