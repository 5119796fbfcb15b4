//! The limits of the system, for error messages.

use std::sync::OnceLock;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        pub(crate) use linux::{advise_to_attach, advise_to_create, all_go_with_their_last_holder};
    } else {
        mod macos;
        pub(crate) use macos::{advise_to_attach, advise_to_create, all_go_with_their_last_holder};
    }
}

/// Whether the kernel destroyed segments with their last attachment when this process first asked. Cheap enough for
/// each attachment.
pub(crate) fn kernel_destroys() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(all_go_with_their_last_holder)
}
