//! A witness leaves our segments after a signal has ended this process without a call of ours.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(super) use linux::{call, prepare};
    } else {
        /// Elsewhere a process cannot share its memory with another.
        pub(super) const fn prepare() {}

        pub(super) const fn call() -> bool {
            false
        }
    }
}
