//! What the system allows, for messages.

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(crate) use linux::{advise_to_attach, advise_to_create, orphans_may_hold};
    } else {
        mod macos;
        pub(crate) use macos::{advise_to_attach, advise_to_create, orphans_may_hold};
    }
}
