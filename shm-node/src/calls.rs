//! Calls that create, attach or leave segments: a signal that ends the process must not interrupt them half-way.

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod unix;
        #[cfg(target_os = "linux")]
        pub(crate) use unix::go_on;
        pub(crate) use unix::{end, put_off, whole};
    } else {
        /// Runs a call. No signal interrupts it: Windows runs handlers on a thread of their own.
        pub(crate) fn whole<T>(call: impl FnOnce() -> T) -> T {
            call()
        }
    }
}
