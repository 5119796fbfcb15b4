//! Which segments exist.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(crate) use linux::list;
    } else {
        mod macos;
        pub(crate) use macos::list;
    }
}
