//! The backends that are built in, as one type.

use crate::failure::Failure;
use shm_api::{
    Access, AttachError, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld, Detached, Key,
    LeaveAtEnd, List, OsError, Peek, Segment, SegmentInfo, Sweep,
};
use shm_map::{MapError, MapOptions, SegmentMap};
use std::{
    ptr::NonNull,
    sync::{Once, atomic::AtomicU64},
};

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod unix;
        use unix as system;
    } else {
        mod windows;
        use windows as system;
    }
}

pub(crate) use system::{AddressRange, is_of_other, survive, within_a_second};
use system::{check_mappings, orphans_may_hold};

/// Which backend a call is for, by the numbers that JavaScript uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BackendId {
    #[cfg(all(unix, feature = "sysv"))]
    SysV,
    #[cfg(all(unix, feature = "posix"))]
    Posix,
    #[cfg(windows)]
    Windows,
}

impl BackendId {
    /// All that are built in. The first is the default for integer keys.
    pub(crate) const ALL: &[Self] = &[
        #[cfg(all(unix, feature = "sysv"))]
        Self::SysV,
        #[cfg(all(unix, feature = "posix"))]
        Self::Posix,
        #[cfg(windows)]
        Self::Windows,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            #[cfg(all(unix, feature = "sysv"))]
            Self::SysV => shm_sysv::SysV::NAME,
            #[cfg(all(unix, feature = "posix"))]
            Self::Posix => shm_posix::Posix::NAME,
            #[cfg(windows)]
            Self::Windows => shm_windows::Windows::NAME,
        }
    }

    /// Whether a peer can make its segments smaller.
    pub(crate) const fn can_shrink(self) -> bool {
        match self {
            #[cfg(all(unix, feature = "sysv"))]
            Self::SysV => false,
            #[cfg(all(unix, feature = "posix"))]
            Self::Posix => true,
            #[cfg(windows)]
            Self::Windows => false,
        }
    }

    /// Its place in [`BackendId::ALL`].
    pub(crate) const fn index(self) -> u32 {
        self as u32
    }

    /// The backend at an index of [`BackendId::ALL`].
    pub(crate) fn from_index(index: u32) -> Result<Self, Failure> {
        Self::ALL.get(index as usize).copied().ok_or_else(|| Failure::internal("no such backend"))
    }
}

/// Runs an expression with the backend of a [`BackendId`].
macro_rules! with_backend {
    ($id:expr, $backend:ident => $body:expr) => {
        match $id {
            #[cfg(all(unix, feature = "sysv"))]
            BackendId::SysV => {
                let $backend = shm_sysv::SysV::new();
                $body
            }
            #[cfg(all(unix, feature = "posix"))]
            BackendId::Posix => {
                let $backend = shm_posix::Posix::new();
                $body
            }
            #[cfg(windows)]
            BackendId::Windows => {
                let $backend = shm_windows::Windows::new();
                $body
            }
        }
    };
}

/// Runs an expression with the segment inside an [`AnySegment`].
macro_rules! with_segment {
    ($any:expr, $segment:ident => $body:expr) => {
        match $any {
            #[cfg(all(unix, feature = "sysv"))]
            AnySegment::SysV($segment) => $body,
            #[cfg(all(unix, feature = "posix"))]
            AnySegment::Posix($segment) => $body,
            #[cfg(windows)]
            AnySegment::Windows($segment) => $body,
        }
    };
}

/// A segment of any backend.
#[derive(Debug)]
#[cfg_attr(
    all(unix, feature = "sysv", feature = "posix"),
    expect(clippy::large_enum_variant, reason = "the table boxes it")
)]
pub(crate) enum AnySegment {
    #[cfg(all(unix, feature = "sysv"))]
    SysV(shm_sysv::SysVSegment),
    #[cfg(all(unix, feature = "posix"))]
    Posix(shm_posix::PosixSegment),
    #[cfg(windows)]
    Windows(shm_windows::WindowsSegment),
}

#[cfg(all(unix, feature = "sysv"))]
impl From<shm_sysv::SysVSegment> for AnySegment {
    fn from(segment: shm_sysv::SysVSegment) -> Self {
        Self::SysV(segment)
    }
}

#[cfg(all(unix, feature = "posix"))]
impl From<shm_posix::PosixSegment> for AnySegment {
    fn from(segment: shm_posix::PosixSegment) -> Self {
        Self::Posix(segment)
    }
}

#[cfg(windows)]
impl From<shm_windows::WindowsSegment> for AnySegment {
    fn from(segment: shm_windows::WindowsSegment) -> Self {
        Self::Windows(segment)
    }
}

impl AnySegment {
    pub(crate) const fn backend(&self) -> BackendId {
        match self {
            #[cfg(all(unix, feature = "sysv"))]
            Self::SysV(_) => BackendId::SysV,
            #[cfg(all(unix, feature = "posix"))]
            Self::Posix(_) => BackendId::Posix,
            #[cfg(windows)]
            Self::Windows(_) => BackendId::Windows,
        }
    }

    pub(crate) fn key(&self) -> &Key {
        with_segment!(self, segment => segment.key())
    }

    pub(crate) fn as_ptr(&self) -> NonNull<u8> {
        with_segment!(self, segment => segment.as_ptr())
    }

    pub(crate) fn size(&self) -> usize {
        with_segment!(self, segment => segment.size().get())
    }

    pub(crate) fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        with_segment!(self, segment => segment.atomic(offset))
    }

    pub(crate) fn access(&self) -> Access {
        with_segment!(self, segment => segment.access())
    }

    pub(crate) fn is_current(&self) -> bool {
        with_segment!(self, segment => segment.is_current())
    }

    pub(crate) fn is_shrunk(&self) -> bool {
        match self {
            #[cfg(all(unix, feature = "sysv"))]
            Self::SysV(_) => false,
            #[cfg(all(unix, feature = "posix"))]
            Self::Posix(segment) => segment.is_shrunk(),
            #[cfg(windows)]
            Self::Windows(_) => false,
        }
    }

    pub(crate) fn populate(&self) -> Result<(), OsError> {
        with_segment!(self, segment => segment.populate())
    }

    pub(crate) fn detach(self) -> Detached {
        with_segment!(self, segment => segment.detach())
    }

    pub(crate) fn let_go_in_place(self, others_leave: &dyn Fn() -> bool) -> (Detached, AddressRange) {
        with_segment!(self, segment => segment.let_go_in_place(others_leave))
    }

    /// # Safety
    ///
    /// As [`LeaveAtEnd::leave_at_exit`].
    pub(crate) unsafe fn leave_at_exit(&self, others_leave: &dyn Fn() -> bool) -> Detached {
        // SAFETY: the caller's promise is the callee's.
        with_segment!(self, segment => unsafe { segment.leave_at_exit(others_leave) })
    }

    /// # Safety
    ///
    /// As [`LeaveAtEnd::leave_in_signal`].
    #[cfg(unix)]
    pub(crate) unsafe fn leave_in_signal(&self, deadline: std::time::Instant) -> Detached {
        // SAFETY: the caller's promise is the callee's.
        with_segment!(self, segment => unsafe { segment.leave_in_signal(deadline) })
    }
}

pub(crate) fn create(
    id: BackendId,
    key: Option<&Key>,
    options: &CreateOptions,
) -> Result<AnySegment, CreateError> {
    check_mappings().map_err(|error| key.map_or(error.clone(), |key| error.on(key)))?;
    sweep_others_once(id);
    match create_once(id, key, options) {
        // Orphans of the other backend may hold what is missing in the ledger, which both share.
        Err(CreateError::Os(error)) if orphans_may_hold(error.errno()) && sweep_others(id) > 0 => {
            create_once(id, key, options)
        }
        created => created,
    }
}

/// Opens the map of a key, or creates it; without a key, creates one under a random key. `shape` is what a new segment
/// is to be. Gives the segment, in which the map lies then.
pub(crate) fn open_map(
    id: BackendId,
    key: Option<&Key>,
    options: &MapOptions,
    shape: impl Fn(CreateOptions) -> CreateOptions,
) -> Result<AnySegment, MapError> {
    check_mappings().map_err(|error| key.map_or(error.clone(), |key| error.on(key)))?;
    sweep_others_once(id);
    let open = || -> Result<AnySegment, MapError> {
        Ok(with_backend!(id, backend => match key {
            Some(key) => SegmentMap::open(&backend, key, options, &shape)?.into_segment().into(),
            None => SegmentMap::create_anywhere(&backend, options, &shape)?.into_segment().into(),
        }))
    };
    match open() {
        // As in `create`.
        Err(MapError::Create(CreateError::Os(error)))
            if orphans_may_hold(error.errno()) && sweep_others(id) > 0 =>
        {
            open()
        }
        opened => opened,
    }
}

fn create_once(id: BackendId, key: Option<&Key>, options: &CreateOptions) -> Result<AnySegment, CreateError> {
    with_backend!(id, backend => match key {
        Some(key) => backend.create(key, options).map(AnySegment::from),
        None => backend.create_anywhere(options).map(AnySegment::from),
    })
}

/// A process's first call frees what crashes left on every backend. The backend of the call does so by itself; this
/// does it for the others.
fn sweep_others_once(id: BackendId) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| _ = sweep_others(id));
}

fn sweep_others(id: BackendId) -> usize {
    let others = BackendId::ALL.iter().filter(|other| **other != id);
    others.filter_map(|other| sweep(*other).ok()).sum()
}

pub(crate) fn attach(id: BackendId, key: &Key, access: Access) -> Result<AnySegment, Failure> {
    check_mappings().map_err(|error| error.on(key))?;
    sweep_others_once(id);
    match access {
        Access::ReadWrite => Ok(with_backend!(id, backend => backend.attach(key).map(AnySegment::from)?)),
        Access::ReadOnly => attach_read_only(id, key),
    }
}

fn attach_read_only(id: BackendId, key: &Key) -> Result<AnySegment, Failure> {
    match id {
        #[cfg(all(unix, feature = "sysv"))]
        BackendId::SysV => Err(Failure::unsupported(
            "On System V, a write to a read-only view would end the process: leave `readOnly` out, or put the segment \
             on the POSIX backend",
            key,
        )),
        #[cfg(all(unix, feature = "posix"))]
        BackendId::Posix => {
            use shm_api::AttachReadOnly;
            Ok(shm_posix::Posix::new().attach_read_only(key).map(AnySegment::from)?)
        }
        #[cfg(windows)]
        BackendId::Windows => {
            use shm_api::AttachReadOnly;
            Ok(shm_windows::Windows::new().attach_read_only(key).map(AnySegment::from)?)
        }
    }
}

/// Whether the backend has a segment with that key; `true` if it cannot tell.
pub(crate) fn has(id: BackendId, key: &Key) -> bool {
    !matches!(info(id, key), Err(AttachError::NotFound { .. }))
}

pub(crate) fn info(id: BackendId, key: &Key) -> Result<SegmentInfo, AttachError> {
    with_backend!(id, backend => backend.info(key))
}

/// Copies from a segment without holding it.
pub(crate) fn peek(id: BackendId, key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
    with_backend!(id, backend => backend.peek(key, offset, target))
}

pub(crate) fn destroy(id: BackendId, key: &Key) -> Result<(), DestroyError> {
    with_backend!(id, backend => backend.destroy(key))
}

pub(crate) fn destroy_unheld(id: BackendId, key: &Key) -> Result<Detached, DestroyError> {
    with_backend!(id, backend => backend.destroy_unheld(key))
}

pub(crate) fn list(id: BackendId) -> Result<Vec<SegmentInfo>, OsError> {
    with_backend!(id, backend => backend.list())
}

pub(crate) fn sweep(id: BackendId) -> Result<usize, OsError> {
    with_backend!(id, backend => backend.sweep())
}
