//! Sleeping on a word of shared memory, and waking the sleepers, in any process.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(crate) use linux::{check, wait, wake};
    } else if #[cfg(target_os = "macos")] {
        mod macos;
        pub(crate) use macos::{check, wait, wake};
    } else {
        mod windows;
        pub(crate) use windows::{Sleeper, check, milliseconds, wait, wake};
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Someone notified.
    Woken,
    /// The cell did not hold the expected value.
    NotEqual,
    /// Time is up.
    TimedOut,
}

#[cfg(unix)]
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
