//! Which engine.

use super::{Engine, ThreadsSliced};
use crate::SyncError;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else if #[cfg(target_os = "macos")] {
        mod macos;
        use macos as system;
    } else {
        mod windows;
        use windows as system;
    }
}

/// Returns the best engine that works here.
///
/// # Errors
///
/// On macOS before 14.4. Elsewhere there are none so far, because the last engine works everywhere.
pub fn choose() -> Result<Box<dyn Engine>, SyncError> {
    system::choose()
}

/// Returns an engine by its name: `uring`, `waitv`, `pool` or `sliced`. `None`: this system has no such engine.
///
/// # Errors
///
/// If that engine does not work here.
pub fn by_name(name: &str) -> Option<Result<Box<dyn Engine>, SyncError>> {
    match name {
        "sliced" => Some(boxed(ThreadsSliced::new())),
        _ => system::by_name(name),
    }
}

fn boxed<E: Engine + 'static>(engine: Result<E, SyncError>) -> Result<Box<dyn Engine>, SyncError> {
    engine.map(|engine| Box::new(engine) as Box<dyn Engine>)
}
