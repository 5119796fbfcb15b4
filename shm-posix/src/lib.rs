//! POSIX shared memory: `shm_open` and `mmap`, behind the contract of [`shm_api`].
//!
//! A string key is the object's name, a file in `/dev/shm` on Linux. An integer key stands for the name
//! `/shm-node-%08x`. The kernel does not count holders here, but it tells whether there are any: see the `kernel`
//! module.
//!
//! On macOS this compiles, but has never run. There a name has at most 31 bytes, with its slash. An object is removed
//! with its last holder that uses this library, because other holders are not seen. Sizes are rounded up to pages, and
//! other users see the rounded size. No room is reserved. A listing shows only the segments of the ledger. Nothing can
//! be attached read-only.
//!
//! ```
//! use shm_api::{AttachReadOnly, Backend, CreateOptions, Detached, Key, Segment};
//! use std::num::NonZeroUsize;
//!
//! let backend = shm_posix::Posix::new();
//! let key = Key::name(&format!("/doc-{}", std::process::id()))?;
//! let writer = backend.create(&key, &CreateOptions::new(NonZeroUsize::new(4096).unwrap()))?;
//! let reader = backend.attach_read_only(&key)?;
//! writer.write(0, b"hello");
//! let mut bytes = [0; 5];
//! reader.read(0, &mut bytes);
//! assert_eq!(&bytes, b"hello");
//! drop(reader);
//! assert_eq!(writer.detach(), Detached::Destroyed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attach;
mod backend;
mod create;
mod describe;
mod destroy;
mod failed;
mod kernel;
mod list;
mod mapping;
mod name;
mod object;
mod peek;
mod segment;

pub use backend::Posix;
pub use segment::PosixSegment;
pub use shm_lifetime::shrink::survive as survive_shrinking;
