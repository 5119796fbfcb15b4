//! Opening, making and removing objects by name.
//!
//! On Linux an object is a file in `/dev/shm`, and everything works as with files. On macOS it is an object of the
//! kernel that only has a name, an owner, a mode and a size.

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
    /// Returns a function that turns an errno of `call` into a `Failed`.
    pub(crate) fn of(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self { call, errno }
    }
}

/// Whether the name is taken.
pub(crate) fn exists(name: &std::ffi::CStr) -> bool {
    matches!(look_up(name), Ok(Some(_)))
}
