#![cfg_attr(
    all(feature = "map", any(all(unix, feature = "posix"), all(windows, feature = "windows"))),
    doc = include_str!("../README.md")
)]
#![cfg_attr(
    not(all(feature = "map", any(all(unix, feature = "posix"), all(windows, feature = "windows")))),
    doc = "Shared memory between processes: the documentation of a build for Linux with all features tells more."
)]
// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(all(unix, any(feature = "sysv", feature = "posix")), all(windows, feature = "windows"))))]
compile_error!(
    "shm-segments needs the feature `sysv`, `posix` or both, and `windows` on Windows: without one there are no segments"
);

pub use bytemuck;
pub use shm_api as api;
#[cfg(feature = "map")]
pub use shm_map as map;
#[cfg(all(unix, feature = "posix"))]
pub use shm_posix as posix;
#[cfg(feature = "sync")]
pub use shm_sync as sync;
#[cfg(all(unix, feature = "sysv"))]
pub use shm_sysv as sysv;
#[cfg(all(windows, feature = "windows"))]
pub use shm_windows as windows;

cfg_if::cfg_if! {
    if #[cfg(any(all(unix, any(feature = "sysv", feature = "posix")), all(windows, feature = "windows")))] {
        mod attachment;
        mod error;
        mod segment;

        pub use {
            error::Error,
            segment::Segment,
            shm_api::{CreateOptions, Key, Mode},
        };

        cfg_if::cfg_if! {
            if #[cfg(feature = "sync")] {
                mod barrier;
                mod broadcast;
                mod channel;
                mod condition;
                mod guard;
                mod mutex;
                mod once;
                mod owned;
                mod rw_lock;
                mod semaphore;

                pub use {
                    barrier::{Barrier, Party},
                    broadcast::{Broadcast, Producer, Reader},
                    channel::{Channel, Receiver, Sender},
                    condition::Condition,
                    guard::Guard,
                    mutex::{Mutex, MutexGuard},
                    once::Once,
                    rw_lock::{ReadGuard, RwLock, WriteGuard},
                    semaphore::Semaphore,
                    shm_sync::{
                        BroadcastOptions, ChannelOptions, Message, Permit, Producers, Received, Reservation,
                        SyncError, Turn,
                    },
                };
            }
        }

        cfg_if::cfg_if! {
            if #[cfg(feature = "map")] {
                mod shared_map;

                pub use {
                    shared_map::Map,
                    shm_map::{EntryOptions, MapError, MapOptions},
                };
            }
        }
    }
}
