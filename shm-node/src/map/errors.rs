//! The errors of a map, as JavaScript sees them.

use crate::failure::{BUSY, Failure};
use shm_api::OsError;
use shm_map::MapError;
use shm_sync::SyncError;

impl From<MapError> for Failure {
    fn from(error: MapError) -> Self {
        let code = match error {
            MapError::Sync(SyncError::TooSmall { .. }) => {
                return Self::Ours(
                    "ERR_SHM_FOREIGN",
                    "the segment is too small for a map: check the key".into(),
                );
            }
            MapError::Sync(error) => return error.into(),
            MapError::Create(error) => return error.into(),
            MapError::Attach(error) => return error.into(),
            MapError::Os(error) => return error.into(),
            MapError::OutOfRange { .. } => return Self::Range(Self::about_options(&error)),
            MapError::TooLong { .. } => return Self::Range(error.to_string()),
            MapError::Busy => {
                let why = "Another writer holds this part of the map, perhaps a stopped one. Nothing was changed: try \
                           again, or raise `lockTimeout`.";
                return OsError::new("futex", BUSY).advise(why).into();
            }
            MapError::Fresh { .. } => "ERR_SHM_FRESH",
            MapError::Foreign { .. } => "ERR_SHM_FOREIGN",
            MapError::Version { .. } => "ERR_SHM_VERSION",
            MapError::Options { .. } => {
                return Self::Ours("ERR_SHM_OPTIONS", Self::about_options(&error));
            }
            MapError::Full => "ERR_SHM_FULL",
            MapError::NotANumber => "ERR_SHM_NOT_A_NUMBER",
            MapError::ReadOnly => "ERR_SHM_READ_ONLY",
            MapError::Damaged(_) => "ERR_SHM_DAMAGED",
            _ => "ERR_SHM_UNSTEADY",
        };
        Self::Ours(code, error.to_string())
    }
}
