//! Leaves all segments when a signal ends the process.

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod unix;
        pub(crate) use unix::{arm, arm_again, do_without};
    } else {
        mod windows;
        pub(crate) use windows::{arm, arm_again, do_without};
    }
}
