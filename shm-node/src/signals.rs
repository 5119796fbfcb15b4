//! Leaves all segments when a signal ends the process.

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod unix;
        mod witness;
        pub(crate) use unix::{arm, arm_again, prepare};
    } else {
        mod windows;
        pub(crate) use windows::{arm, arm_again, prepare};
    }
}
