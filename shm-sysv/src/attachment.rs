//! The memory of a segment in this process, and how it is let go.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(crate) use linux::Attachment;
    } else {
        mod macos;
        pub(crate) use macos::Attachment;
    }
}
