//! Slices: nothing here waits on two words at once.

use super::boxed;
use crate::{
    SyncError,
    engine::{Engine, ThreadsSliced},
};

pub(super) fn choose() -> Result<Box<dyn Engine>, SyncError> {
    boxed(ThreadsSliced::new())
}

pub(super) fn by_name(_name: &str) -> Option<Result<Box<dyn Engine>, SyncError>> {
    None
}
