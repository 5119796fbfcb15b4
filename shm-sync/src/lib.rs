//! Wait and notify, locks and rings between processes, over any shared-memory segment.
//!
//! You choose where each structure lies: a [`Region`] of a segment, and a byte offset. All-zero bytes are a fresh
//! structure: the first process that opens it makes it. `docs/layout.md` describes every word, for other languages.
//!
//! ```
//! use shm_api::{Backend, CreateOptions, heap::Heap};
//! use shm_sync::{Live, Mutex, Region};
//! use std::num::NonZeroUsize;
//!
//! # let folder = std::env::temp_dir().join(format!("shm-sync-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let live = Live::in_folder(&folder)?;
//! # let _ = r"
//! let live = Live::own()?; // by this, the users of a structure know which of them live
//! # ";
//! let segment = Heap::default().create_anywhere(&CreateOptions::new(NonZeroUsize::new(4096).unwrap()))?;
//! let mutex = Mutex::open(Region::of(&segment), 0, live)?;
//! let guard = mutex.lock()?;
//! if guard.owner_died() {
//!     // repair what the mutex protects
//! }
//! # drop(guard);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Waiting without blocking
//!
//! Each operation that may block can also be taken in steps ([`Step`]). Take a step. If it returns [`Step::Wait`],
//! wait on its cell, for example with an [`engine`], for at most [`PATIENCE`], and take the next step. [`block_on`]
//! does this for a thread, [`future::steps_to_future`] for a task.
//!
//! By default, the calling thread is the owner. Something else that acts like a thread (a JavaScript environment) gets
//! an owner of its own from [`Live::new_owner`], and passes it to `for_owner` of each structure. What such an owner
//! holds can outlive the Rust object: `keep` returns its number, and `resume` makes the object again.
//!
//! # What is shared
//!
//! Other processes may write anything at any time. Whatever they write, this crate never reads or writes outside its
//! region, and their bytes never make it wait without end. It returns an error, or a wrong answer that the bytes allow.
//!
//! # Systems
//!
//! It is tested on Linux. On macOS it compiles, but has never run. Sleeping and waking needs macOS 14.4
//! (`os_sync_wait_on_address`); on an older version they return an error. For Windows it is tested under Wine 10. There
//! named events show which owners live (see [`Live`]), and named semaphores wake sleepers. If no backend of this
//! library has mapped the memory of a word, a sleeper checks the word every millisecond.
#![cfg(any(target_os = "linux", target_os = "macos", windows))]
#![cfg_attr(loom, allow(dead_code, unused_imports, reason = "the models are about some of it"))]

mod protocol;

pub use protocol::{
    owner::Owner,
    step::{PATIENCE, Pause, Step},
};

// For bindings of other languages: the places of the words of the hot paths.
#[doc(hidden)]
pub use protocol::{
    channel::{consumer::ReceiveWindow, producer::SendWindow},
    layout,
};

// The model checker has its own words, so the modules that map memory are not compiled for it.
cfg_if::cfg_if! {
    if #[cfg(not(loom))] {
        mod barrier;
        mod block;
        mod broadcast;
        mod bytes;
        mod caller;
        mod channel;
        mod condition;
        pub mod engine;
        mod error;
        pub mod future;
        mod futex;
        pub mod inspect;
        mod live;
        mod mutex;
        mod once;
        mod place;
        mod region;
        mod rw_lock;
        mod semaphore;
        #[cfg(test)]
        mod testing;
        mod wait;

        #[doc(hidden)]
        pub use place::live_file_at;
        pub use {
            barrier::{Arrival, Barrier, Party},
            block::block_on,
            broadcast::{Broadcast, BroadcastOptions, Draft, Frame, KeptFrame, Producer, Reader, Received},
            channel::{
                Channel, ChannelOptions, Kept, Message, Producers, Receiver, Reservation, Reserving, Sender,
            },
            condition::{Condition, Waiting},
            error::SyncError,
            futex::Outcome,
            live::{Deaths, Live},
            mutex::{Locking, Mutex, MutexGuard},
            once::{Beginning, Once, Turn},
            region::Region,
            rw_lock::{ReadGuard, Reading, RwLock, WriteGuard, Writing},
            semaphore::{Acquiring, Permit, Semaphore},
            wait::{Cell, notify, wait},
        };
    }
}
