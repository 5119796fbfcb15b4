//! One map for all processes of a machine, in any shared-memory segment: a cache without a server, or a table.
//!
//! ```
//! use shm_api::Key;
//! use shm_map::{EntryOptions, MapOptions, SegmentMap};
//!
//! let backend = shm_posix::Posix::new(); // or shm_sysv::SysV::new(), with integer keys
//! let key = Key::name(&format!("doc-{}", std::process::id()))?;
//! let opened = SegmentMap::open(&backend, &key, &MapOptions::new(1 << 20), |segment| segment)?;
//! let map = opened.map();
//! map.insert(b"name", b"value", &EntryOptions::default())?;
//! let mut value = Vec::new();
//! let found = map.get(b"name", &mut value)?.expect("it was inserted");
//! assert_eq!(value, b"value");
//! assert!(map.replace(b"name", found.version, b"another", &EntryOptions::default())?.is_some());
//! assert_eq!(map.increment(b"visits", 1.0, None)?.value, 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - **Readers take no lock**, wait for nobody, and get whole values: what was written last, or what is written just
//!   now. A read-only segment will do.
//! - **Any process may die at any instruction**, and nothing has to be repaired. The entry that it was writing is as it
//!   was, or as it was to be. The next writer of the shard goes on within 20 ms.
//! - A writer that is **stopped** delays only writers of its shard: after the lock timeout they get [`MapError::Busy`],
//!   and have changed nothing.
//! - **The memory is what was asked for.** A cache ([`MapOptions::evict`]) makes room by S3-FIFO; what has expired, or was
//!   invalidated, goes first. A map that is none answers [`MapError::Full`], and has changed nothing. The work of one
//!   call is bounded.
//! - Up to [`MapOptions::entries`] keys always find a place in the index, whatever they are.
//! - [`Map::clear`] and [`Map::invalidate_tags`] are one step for all processes.
//! - **Whatever others write into the segment**, nothing here reaches outside it or goes on for ever: it gives an error,
//!   or a wrong answer that the bytes allow.
//!
//! `docs/layout.md` describes every word, for readers in other languages.
//!
//! # Systems
//!
//! Linux is where it is tested. On macOS it compiles and has never run.
#![cfg(any(target_os = "linux", target_os = "macos"))]
#![cfg_attr(loom, allow(dead_code, unused_imports, reason = "the models are about some of it"))]

mod protocol;

// For tests, and for bindings that show a map's layout.
#[doc(hidden)]
pub use protocol::layout;

// The model checker has integers of its own, so all that maps memory is not compiled for it.
cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod clock;
        mod error;
        pub mod inspect;
        mod load;
        mod map;
        mod open;
        mod options;
        mod place;
        mod stamp;
        mod stats;
        mod stripe;
        mod view;

        pub use {
            error::MapError,
            load::Load,
            map::{Counted, Cursor, Found, LOCK_TIMEOUT, Map},
            open::SegmentMap,
            options::{EntryOptions, MapOptions, NUMBER},
            stats::Stats,
            view::View,
        };
    }
}
