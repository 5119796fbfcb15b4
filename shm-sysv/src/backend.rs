//! The backend, as the contract of `shm_api` describes it.

use crate::{
    NAME, SysVSegment,
    attach::attach,
    create::create,
    describe::info,
    destroy::destroy,
    kernel::{SysVKernel, destroy_unheld},
    list,
    peek::peek,
    sys,
};
use shm_api::{
    AttachError, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld, Detached, Key, List,
    OsError, Peek, SegmentInfo, Sweep,
};
use shm_lifetime::Lifetime;

/// The System V backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct SysV(());

impl SysV {
    /// The backend's name.
    pub const NAME: &'static str = NAME;

    /// A backend. It opens nothing until it is used.
    pub const fn new() -> Self {
        Self(())
    }
}

// SAFETY: shmget(2) gives the size asked, all zero; a segment is removed by `SysVKernel` when nobody holds it and
// it is in the ledger as ours, and by `destroy`. After IPC_RMID holders keep their memory, and the key is free.
unsafe impl Backend for SysV {
    type Segment = SysVSegment;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn create(&self, key: &Key, options: &CreateOptions) -> Result<SysVSegment, CreateError> {
        create(key, options)
    }

    fn attach(&self, key: &Key) -> Result<SysVSegment, AttachError> {
        attach(key)
    }

    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError> {
        info(key)
    }

    fn destroy(&self, key: &Key) -> Result<(), DestroyError> {
        destroy(key, |id| sys::remove(id).map(|()| Detached::Destroyed)).map(drop)
    }
}

impl DestroyUnheld for SysV {
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError> {
        destroy(key, |id| {
            let stat = sys::stat(id)?;
            destroy_unheld(id, &stat, stat.mode())
        })
    }
}

impl Peek for SysV {
    fn peek(&self, key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
        peek(key, offset, target)
    }
}

impl List for SysV {
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError> {
        list::list()
    }
}

impl Sweep for SysV {
    fn sweep(&self) -> Result<usize, OsError> {
        Ok(Lifetime::current()?.sweep::<SysVKernel>())
    }
}
