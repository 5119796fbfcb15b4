//! Windows shared memory: named sections backed by the paging file, behind the contract of [`shm_api`]. On other
//! systems this crate is empty.
//!
//! A string key without its slash is the section's name in the namespace of the session. An integer key stands for the
//! name `shm-node-%08x`. Other programs open them by that name: C with `OpenFileMapping`, Python with
//! `multiprocessing.shared_memory.SharedMemory(name)`. They see whole pages, because sections have no other sizes.
//!
//! The kernel removes a section with its last handle, however the process that had it ended. So nothing is left behind,
//! and nothing has to be swept. It also counts the handles, so [`SegmentInfo::holders`](shm_api::SegmentInfo) is exact.
//! Each attachment has one handle. Each key has two more objects: a companion section, which keeps what the kernel does
//! not store (the exact size, the mode, the creator), and a mutex, which excludes *look up and attach* from *leave and
//! destroy*.
//!
//! # What differs from other systems
//!
//! - A name has at most 230 bytes, its slash counted, and no backslash.
//! - No segment outlives its last holder, so a segment that persists is refused.
//! - A section keeps its name as long as a process has a handle. After a destroy, the next segment of that key has a
//!   section with another name, and other programs do not find it by the plain name. A section that another program
//!   made cannot be destroyed.
//! - Room is always reserved, because a process that touches a section without room would end. Huge pages are never
//!   used.
//! - A mode becomes an access list: of this user, of its primary group, and of everybody. A member of the group also
//!   has the rights of everybody. The user and the group in a description are the last parts of their security
//!   identifiers.
//! - A listing shows the segments of this library in this session.
//! - [`let_go_in_place`](shm_api::Segment::let_go_in_place) cannot exchange the pages in one step. Another thread that
//!   touches them in between waits for a moment.
//! - An [`OsError`](shm_api::OsError) has the number of `GetLastError` in place of an errno.
//!
//! ```
//! # #[cfg(windows)] {
//! use shm_api::{AttachReadOnly, Backend, CreateOptions, Detached, Key, Segment};
//! use std::num::NonZeroUsize;
//!
//! let backend = shm_windows::Windows::new();
//! let key = Key::name(&format!("doc-{}", std::process::id()))?;
//! let writer = backend.create(&key, &CreateOptions::new(NonZeroUsize::new(4096).unwrap()))?;
//! let reader = backend.attach_read_only(&key)?;
//! writer.write(0, b"hello");
//! let mut bytes = [0; 5];
//! reader.read(0, &mut bytes);
//! assert_eq!(&bytes, b"hello");
//! drop(reader);
//! assert_eq!(writer.detach(), Detached::Destroyed);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg(windows)]

mod access;
mod attach;
mod backend;
mod bridge;
mod companion;
mod create;
mod failed;
mod find;
mod handle;
mod list;
mod lock;
mod name;
mod range;
mod section;
mod segment;

pub use backend::Windows;
pub use range::AddressRange;
pub use segment::WindowsSegment;
