//! The thread pool; nothing else scales here.

use super::boxed;
use crate::{
    SyncError,
    engine::{Engine, Pool},
};

pub(super) fn choose() -> Result<Box<dyn Engine>, SyncError> {
    boxed(Pool::new())
}

pub(super) fn by_name(name: &str) -> Option<Result<Box<dyn Engine>, SyncError>> {
    (name == "pool").then(choose)
}
