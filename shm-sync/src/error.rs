//! What can go wrong. Every error says what to do. An error of the system keeps its errno.

use crate::Producers;
use crate::protocol::{
    barrier,
    layout::VERSION,
    owner::{NotOurs, Owner},
    stamp::{Damaged, Mismatch, Why},
};
use shm_api::OsError;

/// Why an operation on a structure in shared memory failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The region is too small for the structure at this offset.
    #[error("{needed} bytes are needed at offset {offset}, but the memory ends at {size}: make it larger")]
    TooSmall {
        /// Where the structure begins.
        offset: usize,
        /// How many bytes it takes.
        needed: usize,
        /// How many bytes the region has.
        size: usize,
    },
    /// The place is not aligned.
    #[error("a {what} lies at a multiple of {align} bytes: choose another offset")]
    Misaligned {
        /// The structure.
        what: &'static str,
        /// Its alignment.
        align: usize,
    },
    /// The memory was attached read-only.
    #[error("a read-only segment can neither wait nor lock: attach it for writing, or poll")]
    ReadOnly,
    /// Nobody has made a structure here yet.
    #[error("there is no {what} here yet: open it with its options first")]
    Fresh {
        /// The structure that was looked for.
        what: &'static str,
    },
    /// The bytes are those of something else.
    #[error("the bytes here are not a {what} (they begin with {found:#010x}): check the offset")]
    Foreign {
        /// The structure that was looked for.
        what: &'static str,
        /// The first word.
        found: u32,
    },
    /// It was made by another version of this library.
    #[error(
        "this {what} has layout version {found}, and this library knows version {known}: use one version everywhere"
    )]
    Version {
        /// The structure.
        what: &'static str,
        /// The version found.
        found: u8,
        /// The version that this library knows.
        known: u8,
    },
    /// It was made with other options.
    #[error(
        "this {what} was created with {option}={}, opened with {option}={}: open it with the options it was created with",
        shown(option, *found), shown(option, *wanted)
    )]
    Options {
        /// The structure.
        what: &'static str,
        /// The option.
        option: &'static str,
        /// The options it was created with.
        found: u32,
        /// What was asked now.
        wanted: u32,
    },
    /// An option is out of its range.
    #[error("{option} is {value}, but must be {must}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// What it has to be.
        must: &'static str,
    },
    /// The structure was made with another live file, through which its users find each other.
    #[error(
        "this {what} was made with another live file, so this process cannot see which of its users live: use that \
         file. If it was removed with its folder (at a logout perhaps) or lies in another mount, end the programs that \
         still have the segment. Then the next process takes over a System V segment; destroy any other segment, and \
         create it anew"
    )]
    OtherLiveFile {
        /// The structure.
        what: &'static str,
    },
    /// The bytes contradict each other.
    #[error("the {what} is damaged ({how}): fill its bytes with zeros once nobody uses it")]
    Damaged {
        /// The structure.
        what: &'static str,
        /// What is wrong.
        how: &'static str,
    },
    /// This thread would wait for itself.
    #[error("this thread holds it already, and would wait for itself: release it first")]
    Deadlock,
    /// Nobody holds what you released.
    #[error("nobody holds it: release only what you hold")]
    NotHeld,
    /// It was taken before a fork, by the parent of this process.
    #[error(
        "the parent of this process took it before the fork, and still has it: open the structure again, and take it here"
    )]
    Forked,
    /// Another process holds what you released.
    #[error("{0}, of another process, holds it: release only what you hold")]
    NotOwner(Owner),
    /// Another owner is the only producer, or the only consumer. The fields are the role and that owner.
    #[error("another {0} ({1}) is active; only one is allowed: close it first")]
    Taken(&'static str, Owner),
    /// A party of a barrier was killed.
    #[error("a party was killed, so the others would wait for ever: begin the phase again")]
    Broken,
    /// All parties of a barrier have joined already.
    #[error("all {parties} parties have joined: make the barrier for more")]
    Full {
        /// How many it was made for.
        parties: u32,
    },
    /// A message is longer than the structure can carry.
    #[error("a message of {length} bytes is too long, at most {most} fit: split it, or make more room")]
    TooLong {
        /// Its length.
        length: usize,
        /// The longest message that fits.
        most: usize,
    },
    /// All owner ids have been used.
    #[error("no owner ids are left: end the programs that use the live file, and remove it")]
    NoIds,
    /// The segment belongs to another user, and its live file cannot be used.
    #[error("user {owner} owns the segment, and {why}")]
    NoLiveFile {
        /// The segment's owner.
        owner: u32,
        /// What that user has not done.
        why: &'static str,
    },
    /// The live file cannot be used.
    #[error("the live file cannot be used ({0}): remove it when no program uses it")]
    LiveFile(&'static str),
    /// A wait under this token is pending.
    #[error("a wait under token {0} is pending: give each wait a token of its own")]
    TokenInUse(u64),
    /// There is no room for one more wait.
    #[error("{pending} waits are pending, and there is no room for more: try again when some have ended")]
    TooManyWaits {
        /// How many there are.
        pending: usize,
    },
    /// The segment was made smaller while it was attached, or had no room for a page.
    #[error(
        "the segment was made smaller by another process, or had no room for a page that was not reserved. The missing \
         part reads as zeros here: detach the segment, and attach it again"
    )]
    Shrunk,
    /// The system refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// The value of an option, as a program writes it.
fn shown(option: &str, value: u32) -> String {
    match Producers::of_word(value) {
        Some(producers) if option == "producers" => format!("Producers::{producers:?}"),
        _ => value.to_string(),
    }
}

impl SyncError {
    /// The error number, where a system call failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Os(error) => Some(error.errno()),
            _ => None,
        }
    }
}

impl From<NotOurs> for SyncError {
    fn from(NotOurs(holder): NotOurs) -> Self {
        if holder.is_nobody() { Self::NotHeld } else { Self::NotOwner(holder) }
    }
}

impl From<barrier::Broken> for SyncError {
    fn from(_: barrier::Broken) -> Self {
        Self::Broken
    }
}

impl From<Damaged> for SyncError {
    fn from(Damaged { what, how }: Damaged) -> Self {
        Self::Damaged { what, how }
    }
}

impl From<Mismatch> for SyncError {
    fn from(Mismatch { what, why }: Mismatch) -> Self {
        match why {
            Why::Fresh => Self::Fresh { what },
            Why::Foreign { found } => Self::Foreign { what, found },
            Why::Version { found } => Self::Version { what, found, known: VERSION },
            Why::OtherLiveFile => Self::OtherLiveFile { what },
            Why::Option { option, found, wanted } => Self::Options { what, option, found, wanted },
        }
    }
}
