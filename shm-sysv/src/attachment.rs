//! A segment's memory in this process, and how to let go of it.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(crate) use linux::Attachment;
    } else {
        mod macos;
        pub(crate) use macos::Attachment;
    }
}
