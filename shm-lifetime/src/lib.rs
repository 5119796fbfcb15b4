//! The part of the System V and POSIX backends that is the same for both.
//!
//! Each user has one folder, [`Home`], with these files:
//!
//! - the [`Ledger`]: it has an entry for each segment that this user created through the library. The entry is written
//!   before the segment is created, and erased when the segment is gone. So the next sweep knows which segments to ask
//!   the kernel about, even if the process dies. Segments in the ledger are ours; all others are foreign.
//! - lock files: one for this user alone, and one for each [`Class`] of other users who may open segments of this user.
//!   A [`NameLock`] is a lock on one byte of them. It excludes *look up and attach* from *detach and destroy* for one
//!   name.
//!
//! [`Lifetime`] combines them for one process and user, and has the protocol that creates and leaves a segment. Each
//! backend implements [`Kernel`], which finds out who holds a segment. Nothing is written for a holder, so a holder
//! that dies leaves nothing behind. Where the kernel does not tell who holds a segment (POSIX on macOS, and on
//! overlayfs), each holder has a [`Presence`], which the kernel removes when it dies.
//!
//! Windows keeps nothing of a dead holder. So this crate has only four parts there: the table of mapped sections
//! (`sections`), named objects of the kernel, [`shrink::Mark`], which is never set, and the faults of the storms.
#![cfg_attr(
    windows,
    allow(rustdoc::broken_intra_doc_links, reason = "most of what it describes is not there")
)]

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!("shm-lifetime knows where its files lie and how to lock them on Linux and macOS only");

#[doc(hidden)]
pub mod fault;
#[cfg(windows)]
#[doc(hidden)]
pub mod named;
#[cfg(windows)]
pub mod sections;
pub mod shrink;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod class;
        mod descriptor;
        mod file_limit;
        mod fork;
        mod hold;
        mod home;
        mod huge;
        mod identity;
        mod ledger;
        mod lifetime;
        mod lock;
        mod namespace;
        mod object_id;
        pub mod ofd_lock;
        mod overlay;
        mod populate;
        mod presence;
        mod protocol;
        mod range;
        mod reserve_file;
        mod room;
        #[cfg(target_os = "linux")]
        pub mod shmid;
        #[cfg(target_os = "linux")]
        pub mod statx;
        mod wide;

        pub use class::Class;
        pub(crate) use fault::{Check, skips, step};
        pub use file_limit::is_beyond_file_limit;
        pub use hold::Hold;
        pub use home::Home;
        pub use huge::ask_for_huge_pages;
        pub use identity::Identity;
        pub use ledger::{BackendId, Entry, EntryId, EntryName, Ledger};
        pub use lifetime::Lifetime;
        pub use lock::{LockFile, LockWait, NameLock, within_a_second};
        pub use namespace::Namespaces;
        pub use object_id::ObjectId;
        pub use populate::populate;
        pub use presence::Presence;
        pub use protocol::{Kernel, Looked, OUTLIVES};
        pub use range::AddressRange;
        pub use reserve_file::reserve_file;
        pub use room::{check_room, orphans_may_hold};
        pub use wide::wide;
    }
}
