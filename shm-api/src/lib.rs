//! The contract between a shared-memory backend and its users.
//!
//! A [`Backend`] creates, finds and destroys segments by [`Key`]; a [`Segment`] is one attachment of a segment.
//! An ability that only some backends have is a trait of its own: [`List`], [`AttachReadOnly`], [`Peek`],
//! [`Sweep`], [`DestroyUnheld`], [`LeaveAtEnd`]. This crate calls no operating system; `shm-sysv` and `shm-posix` do.
//!
//! ```
//! use shm_api::{Backend, CreateOptions, Detached, Segment, heap::Heap};
//! use std::{num::NonZeroUsize, sync::atomic::{AtomicU32, Ordering}};
//!
//! let backend = Heap::default(); // or shm_sysv::SysV::new(), shm_posix::Posix::new()
//! let ours = backend.create_anywhere(&CreateOptions::new(NonZeroUsize::new(4096).unwrap()))?;
//! let theirs = backend.attach(ours.key())?;
//! ours.atomic::<AtomicU32>(0).unwrap().store(7, Ordering::Release);
//! assert_eq!(theirs.atomic::<AtomicU32>(0).unwrap().load(Ordering::Acquire), 7);
//! assert_eq!(ours.detach(), Detached::Outlives(NonZeroUsize::MIN));
//! assert_eq!(theirs.detach(), Detached::Destroyed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bytes that other processes write
//!
//! Another process may write to a segment at any time, so Rust references to its bytes are not sound. The safe
//! operations copy ([`Segment::read`], [`Segment::write`], by [`racy_copy`]) or are atomic ([`Segment::atomic`]). To
//! get a slice is `unsafe`: the caller has to guarantee that no process writes meanwhile.
//!
//! # Implementing a backend
//!
//! There are four steps. The source of [`heap`], the smallest backend, shows them all. (Tests use it in place of the
//! others.)
//!
//! 1. Write something that owns the memory, so that the memory outlives a destroy while a process holds it.
//! 2. Write a [`Segment`]: pointer, size and key, and one function that every detach calls.
//! 3. Write the [`Backend`]: *look up and attach*, and *leave and destroy*, must exclude each other for one key.
//! 4. Implement the traits of its further abilities.
//!
//! Then run the conformance suite of the workspace's `tests` crate with it: the suite is generic over the backend.
//!
//! ```
#![doc = include_str!("heap.rs")]
//! ```

extern crate self as shm_api; // so that heap.rs names this crate as a backend in another crate does

mod backend;
mod error;
#[expect(missing_docs, reason = "it stands in the crate's documentation as it is")]
pub mod heap;
mod info;
mod key;
mod options;
mod racy_copy;

pub use backend::{Atomic, AttachReadOnly, Backend, DestroyUnheld, LeaveAtEnd, List, Peek, Segment, Sweep};
pub use error::{AttachError, CreateError, DestroyError, InvalidKey, OsError};
pub use info::{Detached, SegmentInfo, State};
pub use key::{InvalidName, Key, Name};
pub use options::{Access, CreateOptions, Mode};
pub use racy_copy::racy_copy;
