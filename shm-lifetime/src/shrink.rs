//! Surviving when another process shrinks an object that we have mapped.
//!
//! A process that may write to a POSIX object may make it smaller (ftruncate(2)). Touching the missing part then raises
//! SIGBUS. So does the first touch of a page for which there is no room. A handler maps a private zero page there,
//! marks the mapping, and lets the touch go on. From then on the contents of the mapping are not reliable: a lock on a
//! private page excludes nobody. A caller that relies on them checks the mark after each access.
//!
//! `enter` puts a mapping into the table that the handler walks; `survive` installs the handler. Windows has neither.

#[cfg_attr(windows, expect(dead_code, reason = "no mark is ever set there"))]
mod mark;

pub use mark::{Mark, shrinks};

cfg_if::cfg_if! {
    if #[cfg(windows)] {
        mod windows;
    } else {
        #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no handler there"))]
        mod table;

        use std::{num::NonZeroUsize, ptr::NonNull};

        pub use system::survive;
        pub(crate) use table::leave;

        #[cfg_attr(target_os = "linux", path = "shrink/linux.rs")]
        #[cfg_attr(not(target_os = "linux"), path = "shrink/macos.rs")]
        mod system;

        /// Enters into the table a mapping whose object another process can shrink. The handler knows the mapping until
        /// its [`AddressRange`](crate::AddressRange) is dropped.
        ///
        /// # Safety
        ///
        /// `start` is the start of a shared mapping, or a private one of a file, of `len` bytes. It is the caller's
        /// own, can be read and written, and is unmapped by dropping an `AddressRange` over it, and by nothing else.
        pub unsafe fn enter(start: NonNull<u8>, len: NonZeroUsize) {
            table::enter(start.addr(), len);
        }
    }
}
