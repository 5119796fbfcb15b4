//! The first words of a structure: what it is, and with which options. The first user writes them, each by
//! compare-and-swap and always in the same order. If it is killed half-way, the next user completes them.

use super::{
    layout::{LIVE, MAGIC, Structure},
    memory::{AtomicU32, Memory, Ordering},
};
use shm_lifetime::fault;

/// The live file that a user of a structure brings along, and by which its users find each other.
pub(crate) trait MeetingPlace: Copy {
    /// Its id.
    fn id(self) -> u32;

    /// Whether no user of the structure with this word can be left that uses the live file `other`.
    fn is_abandoned(self, word: &AtomicU32, other: u32) -> bool;
}

/// An option: its name, its word, its value.
pub(crate) type Choice = (&'static str, u32, u32);

/// Why a structure cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) what: &'static str,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody has made it yet.
    Fresh,
    /// It is something else.
    Foreign { found: u32 },
    /// It is of another version.
    Version { found: u8 },
    /// It is used with another live file.
    OtherLiveFile,
    /// It was made with another value.
    Option { option: &'static str, found: u32, wanted: u32 },
}

/// The bytes of a structure contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    pub(crate) what: &'static str,
    pub(crate) how: &'static str,
}

impl Structure {
    const fn not(self, why: Why) -> Mismatch {
        Mismatch { what: self.name, why }
    }

    /// Whether the structure exists; an error if the bytes are something else.
    pub(crate) fn is_stamped<'a>(self, memory: impl Memory<'a>) -> Result<bool, Mismatch> {
        let found = memory.word(MAGIC).load(Ordering::Acquire);
        match found.to_le_bytes() {
            [0, 0, 0, 0] => Ok(false),
            _ if found == self.magic() => Ok(true),
            [b's', b'y', letter, version] if letter == self.letter => {
                Err(self.not(Why::Version { found: version }))
            }
            _ => Err(self.not(Why::Foreign { found })),
        }
    }

    /// Makes the structure, or checks that it was made with the same live file and options.
    pub(crate) fn stamp<'a>(
        self,
        memory: impl Memory<'a>,
        live: impl MeetingPlace,
        choices: &[Choice],
    ) -> Result<(), Mismatch> {
        let is_made = self.is_stamped(memory)?;
        if !meet(memory.word(LIVE), live, is_made) {
            return Err(self.not(Why::OtherLiveFile));
        }
        for &(option, offset, wanted) in choices {
            let found = set_once(memory.word(offset), wanted);
            if found != wanted {
                return Err(self.not(Why::Option { option, found, wanted }));
            }
        }
        match set_once(memory.word(MAGIC), self.magic()) {
            found if found == self.magic() => Ok(()),
            found => Err(self.not(Why::Foreign { found })),
        }
    }

    /// Checks that the structure is there and is used with this live file.
    pub(crate) fn check<'a>(self, memory: impl Memory<'a>, live: impl MeetingPlace) -> Result<(), Mismatch> {
        if !self.is_stamped(memory)? {
            return Err(self.not(Why::Fresh));
        }
        if !meet(memory.word(LIVE), live, true) {
            return Err(self.not(Why::OtherLiveFile));
        }
        Ok(())
    }

    pub(crate) const fn damaged(self, how: &'static str) -> Damaged {
        Damaged { what: self.name, how }
    }
}

/// Whether a structure is used with this live file, from now on or already. If its users had another one, it changes
/// to this file as soon as none of them can be left. The word is 0 in between. A process that comes meanwhile with the
/// old file is either seen or refused.
pub(crate) fn meet(word: &AtomicU32, live: impl MeetingPlace, is_made: bool) -> bool {
    let found = if is_made { word.load(Ordering::Acquire) } else { set_once(word, live.id()) };
    if found == live.id() {
        return true;
    }
    if !live.is_abandoned(word, found)
        || word.compare_exchange(found, 0, Ordering::AcqRel, Ordering::Acquire).is_err()
    {
        return false;
    }
    fault::step();
    if !live.is_abandoned(word, found) {
        if found != 0 {
            set_once(word, found);
        }
        return false;
    }
    set_once(word, live.id()) == live.id()
}

/// The value of the word; sets it to `wanted` if it was 0.
fn set_once(word: &AtomicU32, wanted: u32) -> u32 {
    fault::step();
    match word.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => wanted,
        Err(found) => found,
    }
}
