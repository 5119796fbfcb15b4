//! The backend, as the contract of `shm_api` describes it.

use crate::{
    PosixSegment,
    attach::attach,
    create::create,
    describe::describe,
    destroy::destroy,
    failed::open_failed,
    kernel::{PosixKernel, destroy_unheld},
    list, name, object,
    peek::peek,
};
use shm_api::{
    Access, AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld,
    Detached, Key, List, OsError, Peek, SegmentInfo, Sweep,
};
use shm_lifetime::Lifetime;

/// The POSIX backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Posix(());

impl Posix {
    /// The backend's name.
    pub const NAME: &'static str = "posix";

    /// A backend. It opens nothing until it is used.
    pub const fn new() -> Self {
        Self(())
    }
}

// SAFETY: an object gets its size, all zero, before it gets its name; a name is removed by `PosixKernel` when nobody
// holds the object and it is in the ledger as ours, and by `destroy`. After shm_unlink holders keep their mapping.
unsafe impl Backend for Posix {
    type Segment = PosixSegment;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn create(&self, key: &Key, options: &CreateOptions) -> Result<PosixSegment, CreateError> {
        create(key, options)
    }

    fn attach(&self, key: &Key) -> Result<PosixSegment, AttachError> {
        attach(key, Access::ReadWrite)
    }

    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError> {
        name::of_key(key)?;
        let found = describe(key).map_err(|errno| open_failed(errno, key))?;
        found.ok_or_else(|| AttachError::NotFound { key: key.clone() })
    }

    fn destroy(&self, key: &Key) -> Result<(), DestroyError> {
        destroy(key, |_, name| object::unlink(name.as_c_str()).map(|()| Detached::Destroyed)).map(drop)
    }
}

impl DestroyUnheld for Posix {
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError> {
        destroy(key, destroy_unheld)
    }
}

impl AttachReadOnly for Posix {
    fn attach_read_only(&self, key: &Key) -> Result<PosixSegment, AttachError> {
        attach(key, Access::ReadOnly)
    }
}

impl Peek for Posix {
    fn peek(&self, key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
        peek(key, offset, target)
    }
}

impl List for Posix {
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError> {
        list::list()
    }
}

impl Sweep for Posix {
    fn sweep(&self) -> Result<usize, OsError> {
        Ok(Lifetime::current()?.sweep::<PosixKernel>())
    }
}
