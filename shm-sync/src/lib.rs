//! Wait and notify, locks and rings between processes, over any shared-memory segment.
//!
//! The user places each structure: a [`Region`] of a segment, and a byte offset. All-zero bytes are a fresh
//! structure; the first user makes it. `docs/layout.md` describes every word, for other languages.
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
//! let live = Live::own()?; // how the users of a structure know who of them lives
//! # ";
//! let segment = Heap::default().create_anywhere(&CreateOptions::new(NonZeroUsize::new(4096).unwrap()))?;
//! let mutex = Mutex::open(Region::of(&segment), 0, live)?;
//! let guard = mutex.lock()?;
//! if guard.owner_died() {
//!     // mend what the mutex protects
//! }
//! # drop(guard);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Waiting without blocking
//!
//! What may block has a twin in steps ([`Step`]): take one, and if it says [`Step::Wait`], wait on its cell,
//! for example with an [`engine`], for at most [`PATIENCE`], and take the next.
//!
//! # What is shared
//!
//! Other processes may write anything at any time. Whatever they write, nothing here reaches outside its
//! region or waits for ever on its own account; it gives an error, or a wrong answer that the bytes allow.
//!
//! # Systems
//!
//! Linux is where it is tested. On macOS it compiles and has never run; to sleep and to wake it needs 14.4 there
//! (`os_sync_wait_on_address`), and says so on an older one.
#![cfg(any(target_os = "linux", target_os = "macos"))]
#![cfg_attr(loom, expect(dead_code, reason = "the models are about some of it"))]

mod error;
mod protocol;
#[cfg(shm_storm)]
pub mod storm;
#[cfg(not(shm_storm))]
mod storm;
#[cfg(all(test, not(loom)))]
mod testing;

// The model checker has words of its own, so what maps memory is not compiled for it.
#[cfg(not(loom))]
mod barrier;
#[cfg(not(loom))]
mod broadcast;
#[cfg(not(loom))]
mod caller;
#[cfg(not(loom))]
mod channel;
#[cfg(not(loom))]
mod condition;
#[cfg(not(loom))]
pub mod engine;
#[cfg(not(loom))]
mod live;
#[cfg(not(loom))]
mod mutex;
#[cfg(not(loom))]
mod once;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod rw_lock;
#[cfg(not(loom))]
mod semaphore;
#[cfg(not(loom))]
mod wait;

pub use error::SyncError;
pub use protocol::owner::Owner;
#[doc(hidden)]
pub use protocol::ring::{ReceiveWindow, SendWindow};
pub use protocol::step::{PATIENCE, Pause, Step};

#[cfg(not(loom))]
pub use self::{
    barrier::{Arrival, Barrier, Party},
    broadcast::{Broadcast, BroadcastOptions, Draft, Frame, KeptFrame, Producer, Reader, Received},
    channel::{Channel, ChannelOptions, Kept, Message, Producers, Receiver, Reservation, Reserving, Sender},
    condition::{Condition, Waiting},
    live::Live,
    mutex::{Locking, Mutex, MutexGuard},
    once::{Beginning, Once, Turn},
    region::Region,
    rw_lock::{ReadGuard, Reading, RwLock, WriteGuard, Writing},
    semaphore::{Acquiring, Permit, Semaphore},
    wait::{Cell, Outcome, block_on, notify, wait},
};
