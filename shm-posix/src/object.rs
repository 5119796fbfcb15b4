//! Opening, making and removing objects by name.
//!
//! On Linux an object is a file in `/dev/shm`, and all that is true of files is true of it. On macOS it is a thing of
//! the kernel's own, which has a name, an owner, a mode and a size, and nothing else.

use nix::errno::Errno;

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
        pub(crate) use linux::FOLDER;
    } else {
        mod macos;
        use macos as system;
    }
}

pub(crate) use system::{
    LONGEST_NAME, RESERVE, Stat, advise_to_make, check_free, look_up, make_named, make_unnamed, open,
    publish, read, reserve, unlink,
};

/// A call that failed while an object was made.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) call: &'static str,
    pub(crate) errno: Errno,
}

impl Failed {
    /// What makes an errno of `call` one of these.
    pub(crate) fn of(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self { call, errno }
    }
}

/// Whether the name is taken.
pub(crate) fn exists(name: &std::ffi::CStr) -> bool {
    matches!(look_up(name), Ok(Some(_)))
}
