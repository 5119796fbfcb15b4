//! The backend, as the contract of `shm_api` describes it.

use crate::{
    WindowsSegment,
    attach::attach,
    create::create,
    failed::{Failed, not_supported},
    find::{Found, describe, find},
    list,
    range::Placeholder,
};
use shm_api::{
    Access, AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld,
    Detached, Key, List, OsError, Peek, SegmentInfo, Sweep, racy_copy,
};
use std::{num::NonZeroUsize, ptr::NonNull};
use windows_sys::Win32::{Foundation::ERROR_ACCESS_DENIED, System::Memory::FILE_MAP_READ};

/// The Windows backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows(());

impl Windows {
    /// The backend's name.
    pub const NAME: &'static str = "windows";

    /// A backend. It opens nothing until it is used.
    pub const fn new() -> Self {
        Self(())
    }
}

// SAFETY: the kernel gives new sections whole pages, all zero, and the companion the exact size, which no later one
// changes while it is held; it frees a section with its last handle and view. `destroy` takes the key, not the memory.
unsafe impl Backend for Windows {
    type Segment = WindowsSegment;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn create(&self, key: &Key, options: &CreateOptions) -> Result<WindowsSegment, CreateError> {
        create(key, options)
    }

    fn attach(&self, key: &Key) -> Result<WindowsSegment, AttachError> {
        attach(key, Access::ReadWrite)
    }

    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError> {
        describe(key)
    }

    fn destroy(&self, key: &Key) -> Result<(), DestroyError> {
        let destroyed = find(key, FILE_MAP_READ, |found| match &found.ours {
            Some(ours) if ours.companion.clear() => Ok(()),
            Some(_) => Err(AttachError::Os(Failed::new("OpenFileMapping", ERROR_ACCESS_DENIED).on(key))),
            None => {
                let why = "Windows removes what another program made with its last holder: end that program.";
                Err(AttachError::Os(not_supported("CreateFileMapping", key, why)))
            }
        });
        destroyed.map_err(not_destroyed)
    }
}

fn not_destroyed(error: AttachError) -> DestroyError {
    match error {
        AttachError::NotFound { key } => DestroyError::NotFound { key },
        AttachError::InvalidKey(invalid) => DestroyError::InvalidKey(invalid),
        AttachError::Os(error) => DestroyError::Os(error),
        other => unreachable!("{other}"),
    }
}

impl AttachReadOnly for Windows {
    fn attach_read_only(&self, key: &Key) -> Result<WindowsSegment, AttachError> {
        attach(key, Access::ReadOnly)
    }
}

impl List for Windows {
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError> {
        list::list()
    }
}

impl Peek for Windows {
    fn peek(&self, key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
        // The lock is held meanwhile, so that nobody who leaves takes this process for a holder.
        find(key, FILE_MAP_READ, |Found { section, size, .. }| {
            let range = Placeholder::reserve(size)
                .and_then(|placeholder| placeholder.map(&section, Access::ReadOnly));
            let range = range.map_err(|failed| failed.on(key))?;
            let count = target.len().min(size.get().saturating_sub(offset));
            if count > 0 {
                // SAFETY: offset < size, so this stays inside the section.
                let source = unsafe { range.start().add(offset) };
                // SAFETY: `count` bytes fit on both sides; no reference of ours spans a section's bytes.
                unsafe { racy_copy(source, NonNull::from(target).cast(), count) };
            }
            Ok(count)
        })
    }
}

impl Sweep for Windows {
    /// There is never anything to sweep: the kernel removes a section with its last handle.
    fn sweep(&self) -> Result<usize, OsError> {
        Ok(0)
    }
}

impl DestroyUnheld for Windows {
    /// Whatever there is has holders.
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError> {
        let holders = describe(key).map_err(not_destroyed)?.holders.unwrap_or(1);
        Ok(NonZeroUsize::new(holders as usize).map_or(Detached::Gone, Detached::Outlives))
    }
}
