//! What Windows has in place of that: its kernel frees what nobody holds.

use super::BackendId;
use shm_api::{OsError, SegmentInfo};
pub(crate) use shm_windows::AddressRange;

/// There are no orphans.
pub(crate) const fn orphans_may_hold(_errno: i32) -> bool {
    false
}

/// Runs a call. It takes few locks, and waits a second for each.
pub(crate) fn within_a_second<T>(call: impl FnOnce() -> T) -> T {
    call()
}

/// A process may have as many mappings as it has room for.
pub(crate) const fn check_mappings() -> Result<(), OsError> {
    Ok(())
}

/// A section never becomes smaller.
pub(crate) const fn survive() -> Result<(), OsError> {
    Ok(())
}

/// The access list says who may write.
pub(crate) const fn is_of_other(_: BackendId, _: &SegmentInfo) -> bool {
    false
}
