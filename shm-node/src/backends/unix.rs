//! What the backends of Unix have in common.

use super::BackendId;
use shm_api::SegmentInfo;

pub(crate) use crate::mappings::check as check_mappings;
pub(crate) use shm_lifetime::{AddressRange, orphans_may_hold, shrink::survive, within_a_second};

/// Whether another user owns a segment, who may write to it whatever its mode is. Root may do so anyway.
pub(crate) fn is_of_other(id: BackendId, info: &SegmentInfo) -> bool {
    match id {
        // shmctl(2), IPC_SET: the creator can give it to this user, and may still write to it. Only the ledger tells.
        #[cfg(feature = "sysv")]
        BackendId::SysV => info.state == shm_api::State::Foreign,
        #[cfg(feature = "posix")]
        BackendId::Posix => info.uid != 0 && info.uid != nix::unistd::geteuid().as_raw(),
    }
}
