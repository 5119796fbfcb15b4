//! The companion of a section: a page that says what the kernel does not keep of it.
//!
//! It belongs to a key, and each holder of a segment of that key has it open, also one whose segment was destroyed. So
//! its count of segments goes on as long as the name of an old one may be taken. It is changed under the key's lock, by
//! the owner alone, and each change becomes valid with one store.

use crate::{
    access::User,
    failed::Failed,
    handle,
    name::{ObjectName, Wide},
    range::PAGE,
    section,
};
use shm_api::Mode;
use shm_lifetime::named::last_error;
use std::{
    num::{NonZeroU32, NonZeroUsize},
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr::NonNull,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use windows_sys::Win32::{
    Foundation::{ERROR_ACCESS_DENIED, ERROR_INVALID_DATA, ERROR_REVISION_MISMATCH},
    System::Memory::{
        FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, UnmapViewOfFile,
    },
};

/// "shW" and the version.
const MAGIC: u32 = u32::from_le_bytes(*b"shW\x01");

/// Its bytes. Others may write anything there, which does no harm to atomic integers.
#[repr(C)]
struct Record {
    magic: AtomicU32,
    /// The number of the segment that has the key now, or 0.
    current: AtomicU32,
    /// The number of the newest one.
    newest: AtomicU32,
    is_plain: AtomicU32,
    size: AtomicU64,
    created: AtomicU64,
    creator: AtomicU32,
    uid: AtomicU32,
    gid: AtomicU32,
    mode: AtomicU32,
}

/// What it says of the segment that has the key now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description {
    /// Tells it from the earlier ones of its key.
    pub(crate) number: NonZeroU32,
    /// Whether it has the plain name, and not a later one.
    pub(crate) is_plain: bool,
    pub(crate) size: NonZeroUsize,
    pub(crate) created: u64,
    pub(crate) creator: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: Mode,
}

impl Description {
    /// A segment that this process makes now.
    pub(crate) fn new(
        number: NonZeroU32,
        is_plain: bool,
        size: NonZeroUsize,
        mode: Mode,
        user: &User,
    ) -> Self {
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (created, creator) = (age.as_nanos() as u64, std::process::id());
        Self { number, is_plain, size, created, creator, uid: user.uid(), gid: user.gid(), mode }
    }

    pub(crate) fn section(&self, name: &ObjectName) -> Wide {
        if self.is_plain { name.section() } else { name.later_section(self.number.get()) }
    }

    pub(crate) fn created(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_nanos(self.created))
    }
}

/// The companion, mapped.
#[derive(Debug)]
pub(crate) struct Companion {
    /// Keeps its name.
    handle: OwnedHandle,
    record: NonNull<Record>,
    is_writable: bool,
}

// SAFETY: a view is the process's, not a thread's, and all of it is atomic.
unsafe impl Send for Companion {}
// SAFETY: as above.
unsafe impl Sync for Companion {}

impl Companion {
    /// Opens it, and makes it if need be.
    pub(crate) fn create(name: &ObjectName, user: &User, mode: Mode) -> Result<Self, Failed> {
        let access = user.companion_access(mode)?;
        let companion = Self::map(section::create_or_open(&name.companion(), PAGE, &access)?, true)?;
        let _ = companion.record().magic.compare_exchange(0, MAGIC, Release, Relaxed);
        companion.checked()
    }

    /// Opens it, for reading where only the owner may write; `None` if nobody has it.
    pub(crate) fn open(name: &ObjectName) -> Result<Option<Self>, Failed> {
        let name = name.companion();
        let (section, is_writable) = match section::open(&name, FILE_MAP_READ | FILE_MAP_WRITE) {
            Err(Failed { code: ERROR_ACCESS_DENIED, .. }) => (section::open(&name, FILE_MAP_READ)?, false),
            opened => (opened?, true),
        };
        section.map(|section| Self::map(section, is_writable)?.checked()).transpose()
    }

    fn map(section: OwnedHandle, is_writable: bool) -> Result<Self, Failed> {
        let access = if is_writable { FILE_MAP_READ | FILE_MAP_WRITE } else { FILE_MAP_READ };
        // SAFETY: an open handle; a new view takes nobody's memory.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), access, 0, 0, PAGE) };
        let record = NonNull::new(view.Value.cast());
        let record = record.ok_or_else(|| Failed::new("MapViewOfFile", last_error()))?;
        let companion = Self { handle: section, record, is_writable };
        section::check_room(record.cast(), PAGE)?;
        Ok(companion)
    }

    /// With a handle that goes after that of the section, where this process is killed.
    pub(crate) fn closed_after(mut self, section: &OwnedHandle) -> Self {
        if let Ok(handle) = self.handle.try_clone() {
            self.handle = handle::closed_after(section, handle);
        }
        self
    }

    /// 0: its creator ended before it had a segment.
    fn checked(self) -> Result<Self, Failed> {
        match self.record().magic.load(Acquire) {
            0 | MAGIC => Ok(self),
            _ => Err(Failed::new("MapViewOfFile", ERROR_REVISION_MISMATCH)),
        }
    }

    fn record(&self) -> &Record {
        // SAFETY: a page at a page boundary, mapped as long as `self`; every value is valid for atomic integers.
        unsafe { self.record.as_ref() }
    }

    /// The number of the segment that has the key now.
    pub(crate) fn current_number(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.record().current.load(Acquire))
    }

    /// The segment that has the key now. Its holders may have been killed: only its section tells whether it is there.
    pub(crate) fn current(&self) -> Result<Option<Description>, Failed> {
        let Some(number) = self.current_number() else { return Ok(None) };
        let record = self.record();
        let damaged = || Failed::new("MapViewOfFile", ERROR_INVALID_DATA);
        let size = usize::try_from(record.size.load(Relaxed)).ok().and_then(NonZeroUsize::new);
        Ok(Some(Description {
            number,
            is_plain: record.is_plain.load(Relaxed) != 0,
            size: size.ok_or_else(damaged)?,
            created: record.created.load(Relaxed),
            creator: record.creator.load(Relaxed),
            uid: record.uid.load(Relaxed),
            gid: record.gid.load(Relaxed),
            mode: Mode::new(record.mode.load(Relaxed)).ok_or_else(damaged)?,
        }))
    }

    /// Whether the key had a segment before, which a process may hold still.
    pub(crate) fn had_others(&self) -> bool {
        self.record().newest.load(Relaxed) != 0
    }

    /// A number that no segment of this key has.
    pub(crate) fn next_number(&self) -> NonZeroU32 {
        NonZeroU32::new(self.record().newest.load(Relaxed).wrapping_add(1)).unwrap_or(NonZeroU32::MIN)
    }

    /// Gives the key to a segment that was just made.
    pub(crate) fn publish(&self, new: &Description) {
        let record = self.record();
        record.current.store(0, Release);
        record.newest.store(new.number.get(), Relaxed);
        record.is_plain.store(new.is_plain.into(), Relaxed);
        record.size.store(new.size.get() as u64, Relaxed);
        record.created.store(new.created, Relaxed);
        record.creator.store(new.creator, Relaxed);
        record.uid.store(new.uid, Relaxed);
        record.gid.store(new.gid, Relaxed);
        record.mode.store(new.mode.bits(), Relaxed);
        record.current.store(new.number.get(), Release);
    }

    /// Takes the key from the segment that has it; `false` if only another user may.
    pub(crate) fn clear(&self) -> bool {
        if self.is_writable {
            self.record().current.store(0, Release);
        }
        self.is_writable
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.record.as_ptr().cast() };
        // SAFETY: mapped in `map`, and no reference to it is left.
        unsafe { UnmapViewOfFile(view) };
    }
}
