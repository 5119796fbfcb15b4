//! On macOS, a POSIX object gets its size once (xnu: `pshm_truncate` is EINVAL afterwards), so no process can shrink
//! it.

use shm_api::OsError;

/// Does nothing: there is nothing to survive on macOS.
///
/// # Errors
///
/// None.
pub const fn survive() -> Result<(), OsError> {
    Ok(())
}
