//! System V shared memory: `shmget`, `shmat`, `shmctl`, behind the contract of [`shm_api`].
//!
//! Keys are integers, the same 32 bits that C gives to `shmget` and `ipcs -m` shows. The kernel counts the
//! attachments of each segment, so [`SegmentInfo::holders`](shm_api::SegmentInfo::holders) is a number here.
//!
//! ```
//! use shm_api::{Backend, CreateOptions, Detached, Segment};
//! use std::num::NonZeroUsize;
//!
//! let backend = shm_sysv::SysV::new();
//! let segment = backend.create_anywhere(&CreateOptions::new(NonZeroUsize::new(4096).unwrap()))?;
//! segment.write(0, b"hello");
//! assert_eq!(backend.info(segment.key())?.holders, Some(1));
//! assert_eq!(segment.detach(), Detached::Destroyed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There are no read-only attachments, because a write to one (`SHM_RDONLY`) ends the process. Keys are integers only.
//! The kernel has no call that reserves room. If you ask for room, the size is only compared with the free memory, and
//! the pages are allocated when they are touched.
//!
//! On macOS this compiles, but has never run. There a listing shows the segments of the ledger, and the system's
//! limits are small.

mod attach;
mod attachment;
mod backend;
mod create;
mod describe;
mod destroy;
mod failed;
mod kernel;
mod limits;
mod list;
mod number;
mod peek;
mod segment;
mod sys;

pub use backend::SysV;
pub use segment::SysVSegment;

const NAME: &str = "sysv";
