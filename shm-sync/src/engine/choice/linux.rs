//! `io_uring`, else `futex_waitv`, else slices.

use super::boxed;
#[cfg(target_pointer_width = "64")]
use crate::engine::Uring;
use crate::{
    SyncError,
    engine::{Engine, ThreadsSliced, ThreadsWaitv},
};

pub(super) fn choose() -> Result<Box<dyn Engine>, SyncError> {
    #[cfg(target_pointer_width = "64")]
    if let Ok(uring) = Uring::new() {
        return Ok(Box::new(uring));
    }
    match ThreadsWaitv::new() {
        Ok(threads) => Ok(Box::new(threads)),
        Err(_) => boxed(ThreadsSliced::new()),
    }
}

pub(super) fn by_name(name: &str) -> Option<Result<Box<dyn Engine>, SyncError>> {
    match name {
        #[cfg(target_pointer_width = "64")]
        "uring" => Some(boxed(Uring::new())),
        "waitv" => Some(boxed(ThreadsWaitv::new())),
        _ => None,
    }
}
