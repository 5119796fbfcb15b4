//! What holds the promises of this workspace.
//!
//! - [`mod@conformance`]: a suite that is generic over the backend; a new backend runs it first of all.
//! - [`Puppet`]: another process, told what to do line by line. The program `actor` uses the library,
//!   `foreign` knows nothing of it.
//! - [`World`]: namespaces of their own for the tests that need a `/dev/shm`, a ledger or System V limits to
//!   themselves.
//! - [`usage`]: what a process uses of descriptors, mappings and memory.
//!
//! On Windows there is the suite only.
//!
//! The programs `storm` and `cycles` are the long forms of the tests of the same name.

pub mod conformance;
mod keys;

pub use keys::{fresh_id, fresh_name};

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod puppet;
        pub mod stage;
        pub mod usage;
        mod world;

        pub use puppet::Puppet;
        pub use world::{World, is_root, skip};
    }
}
