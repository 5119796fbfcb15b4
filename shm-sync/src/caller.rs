//! The owner of the operations of a structure: the calling thread, or an owner that the user names.

use crate::protocol::step::{Patience, Peers};
use crate::{Live, Owner, SyncError, live};
use std::time::Instant;

/// The caller, and the live file through which others find out whether it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    live: &'static Live,
    named: Option<Named>,
}

/// An owner that the user names, for operations of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    owner: Owner,
    generation: u32,
}

impl Named {
    pub(crate) fn new(owner: Owner) -> Self {
        Self { owner, generation: live::generation() }
    }

    /// An error in the child of a fork: there the parent is the owner.
    #[inline]
    pub(crate) fn owner(self) -> Result<Owner, SyncError> {
        live::check_generation(self.generation).map(|()| self.owner)
    }
}

impl Caller {
    /// Each calling thread is the owner.
    pub(crate) const fn thread(live: &'static Live) -> Self {
        Self { live, named: None }
    }

    /// `owner` is the owner, whichever thread calls.
    pub(crate) fn named(self, owner: Owner) -> Self {
        Self { named: Some(Named::new(owner)), ..self }
    }

    /// The owner of a call of this thread.
    #[inline]
    pub(crate) fn owner(&self) -> Result<Owner, SyncError> {
        match self.named {
            None => self.live.this_thread(),
            Some(named) => named.owner(),
        }
    }

    pub(crate) fn is_ours(self, owner: Owner) -> bool {
        self.live.is_ours(owner)
    }
}

impl Peers for Caller {
    fn is_alive(self, owner: Owner) -> bool {
        self.live.is_alive(owner)
    }

    fn is_over(self, patience: &mut Patience) -> bool {
        patience.is_over_at(Instant::now())
    }
}
