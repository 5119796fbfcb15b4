//! What the backends promise within one process.
//!
//! Nothing here starts a process: between fork and exec a child has what we have open just then, and a POSIX
//! object that it has open is not destroyed, but left to a sweep.

mod conformance;
mod model;

cfg_if::cfg_if! {
    if #[cfg(windows)] {
        mod windows;
    } else {
        mod keys;
    }
}
