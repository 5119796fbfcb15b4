//! The backend, as the contract of `shm_api` describes it.

use crate::{
    WindowsSegment,
    attach::attach,
    create::create,
    failed::{Failed, not_supported},
    find::{describe, find},
    list,
};
use shm_api::{
    Access, AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, DestroyError, Key, List,
    OsError, SegmentInfo,
};
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
        destroyed.map_err(|error| match error {
            AttachError::NotFound { key } => DestroyError::NotFound { key },
            AttachError::InvalidKey(invalid) => DestroyError::InvalidKey(invalid),
            AttachError::Os(error) => DestroyError::Os(error),
            other => unreachable!("{other}"),
        })
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
