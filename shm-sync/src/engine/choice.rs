//! Which engine.

use super::{Engine, ThreadsSliced};
use crate::SyncError;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// The best engine that works here.
///
/// # Errors
///
/// On macOS before 14.4; elsewhere none so far, as the last way works everywhere.
pub fn choose() -> Result<Box<dyn Engine>, SyncError> {
    system::choose()
}

/// An engine by the name of its way: `uring`, `waitv` or `sliced`. `None`: this system has no such way.
///
/// # Errors
///
/// Where that way does not work here.
pub fn by_name(name: &str) -> Option<Result<Box<dyn Engine>, SyncError>> {
    match name {
        "sliced" => Some(boxed(ThreadsSliced::new())),
        _ => system::by_name(name),
    }
}

fn boxed<E: Engine + 'static>(engine: Result<E, SyncError>) -> Result<Box<dyn Engine>, SyncError> {
    engine.map(|engine| Box::new(engine) as Box<dyn Engine>)
}
