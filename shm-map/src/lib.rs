//! One map for all processes of a machine, in any shared-memory segment: a cache without a server, or a table that
//! never drops an entry.
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
//! - **Readers take no lock** and never wait. A reader gets a whole value: the last one, or one that is being written
//!   at that moment. It can use a read-only segment.
//! - **If a process is killed at any instruction**, nothing has to be repaired. The entry that it was writing has its
//!   old value or its new value. The next writer of the shard goes on within 20 ms.
//! - A writer that is **stopped** delays only writers of its shard. After the lock timeout they get
//!   [`MapError::Busy`], and have changed nothing.
//! - **The map never uses more memory than you asked for.** A cache ([`MapOptions::evict`]) makes room by S3-FIFO; it
//!   removes expired and invalidated entries first. A map that does not evict returns [`MapError::Full`], and has
//!   changed nothing. The work of one call is bounded.
//! - The index has room for [`MapOptions::entries`] keys, whatever they are.
//! - [`Map::clear`] and [`Map::invalidate_tags`] are one step for all processes.
//! - **Whatever other processes write into the segment**, the library never reads or writes outside it, and every call
//!   ends. It returns an error, or a wrong value that the bytes allow.
//!
//! `docs/layout.md` describes every word, for readers in other languages.
//!
//! # Systems
//!
//! It is tested on Linux. It compiles for macOS, but has never run there. For Windows it is tested under Wine 10.
#![cfg(any(target_os = "linux", target_os = "macos", windows))]
#![cfg_attr(loom, allow(dead_code, unused_imports, reason = "the models are about some of it"))]

mod protocol;

// For tests, and for bindings that show a map's layout.
#[doc(hidden)]
pub use protocol::layout;

// The model checker has its own integers, so the modules that map memory are not compiled for it.
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
        mod seen;
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
            seen::Seen,
            stats::Stats,
            view::View,
        };
    }
}
