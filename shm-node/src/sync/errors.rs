//! The errors of coordination, as JavaScript sees them.

use crate::failure::Failure;
use shm_sync::SyncError;

pub(crate) fn detached() -> Failure {
    Failure::Ours("ERR_SHM_DETACHED", "the segment is detached: create or get it anew".into())
}

pub(crate) fn read_only() -> Failure {
    Failure::Value(r#""view" is read-only: to wait or lock, get the segment without `readOnly`"#.into())
}

pub(crate) fn reserved() -> Failure {
    Failure::Ours(
        "ERR_SHM_RESERVED",
        "this object has an open reservation: commit or abandon it first".into(),
    )
}

pub(super) fn draining() -> Failure {
    let advice = "drain() is running: return from its callback before you receive in another way";
    Failure::Ours("ERR_SHM_DRAINING", advice.into())
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let code = match &error {
            SyncError::TooSmall { offset, needed, size } => {
                let room = size.saturating_sub(*offset);
                return Self::Range(format!(
                    r#""view" must be {needed} bytes long from the index on, as the structure needs. Received {room} bytes"#
                ));
            }
            SyncError::Misaligned { what, align } => {
                return Self::Range(format!(
                    r#""index" must lie at a multiple of {align} bytes, as a {what} needs"#
                ));
            }
            SyncError::TooLong { length, most } => {
                return Self::Range(format!(
                    r#""message" must be at most {most} bytes long: split it, or make more room. Received {length} bytes"#
                ));
            }
            SyncError::ReadOnly => return read_only(),
            SyncError::OutOfRange { .. } => return Self::Range(error.to_string()),
            SyncError::Os(error) => return Self::System(error.clone()),
            SyncError::Fresh { .. } => "ERR_SHM_FRESH",
            SyncError::Foreign { .. } => "ERR_SHM_FOREIGN",
            SyncError::Version { .. } => "ERR_SHM_VERSION",
            SyncError::Options { .. } => {
                return Self::Ours("ERR_SHM_OPTIONS", Self::about_options(&error));
            }
            SyncError::Damaged { .. } => "ERR_SHM_DAMAGED",
            SyncError::Shrunk => "ERR_SHM_SHRUNK",
            SyncError::Deadlock => "ERR_SHM_DEADLOCK",
            SyncError::NotHeld => "ERR_SHM_NOT_HELD",
            SyncError::NotOwner(_) => "ERR_SHM_NOT_OWNER",
            SyncError::Taken(..) => "ERR_SHM_TAKEN",
            SyncError::Broken => "ERR_SHM_BROKEN",
            SyncError::Full { .. } => "ERR_SHM_FULL",
            SyncError::TooManyWaits { .. } => "ERR_SHM_TOO_MANY_WAITS",
            _ => "ERR_SHM_LIVE_FILE",
        };
        Self::Ours(code, error.to_string())
    }
}

pub(crate) fn not_held() -> Failure {
    SyncError::NotHeld.into()
}
