//! The first words of a structure: what it is, and with which options. The first user writes them, each by
//! compare-and-swap and always in the same order, so whoever is killed half-way is completed by the next.

use crate::SyncError;
use crate::protocol::cell::{Ordering, Words};

/// Byte offset of the word that tells structure and version.
pub(crate) const MAGIC: u32 = 0;
/// Byte offset of the id of the live file.
pub(crate) const LIVE: u32 = 4;
const VERSION: u8 = 1;

/// A kind of structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// Its letter in the magic.
    pub(crate) letter: u8,
}

impl Kind {
    /// The first word, in memory the bytes `s`, `y`, the letter, the version.
    pub(crate) const fn magic(self) -> u32 {
        u32::from_le_bytes([b's', b'y', self.letter, VERSION])
    }

    /// Whether the structure is there; an error where something else is.
    pub(crate) fn is_stamped<'a>(self, words: impl Words<'a>) -> Result<bool, SyncError> {
        let found = words.word(MAGIC).load(Ordering::Acquire);
        match found.to_le_bytes() {
            [0, 0, 0, 0] => Ok(false),
            _ if found == self.magic() => Ok(true),
            [b's', b'y', letter, version] if letter == self.letter => {
                Err(SyncError::Version { what: self.name, found: version, known: VERSION })
            }
            _ => Err(SyncError::Foreign { what: self.name, found }),
        }
    }

    /// Makes the structure, or checks that it was made with the same live file and options.
    pub(crate) fn stamp<'a>(
        self,
        words: impl Words<'a>,
        live: u32,
        options: &[(&'static str, u32, u32)],
    ) -> Result<(), SyncError> {
        self.is_stamped(words)?;
        if settle(words, LIVE, live) != live {
            return Err(SyncError::OtherLiveFile { what: self.name });
        }
        for &(option, offset, wanted) in options {
            let found = settle(words, offset, wanted);
            if found != wanted {
                return Err(SyncError::Options { what: self.name, option, found, wanted });
            }
        }
        match settle(words, MAGIC, self.magic()) {
            found if found == self.magic() => Ok(()),
            found => Err(SyncError::Foreign { what: self.name, found }),
        }
    }

    /// Checks that the structure is there and is used with this live file.
    pub(crate) fn check<'a>(self, words: impl Words<'a>, live: u32) -> Result<(), SyncError> {
        if !self.is_stamped(words)? {
            return Err(SyncError::Fresh { what: self.name });
        }
        if words.word(LIVE).load(Ordering::Relaxed) != live {
            return Err(SyncError::OtherLiveFile { what: self.name });
        }
        Ok(())
    }
}

fn settle<'a>(words: impl Words<'a>, offset: u32, wanted: u32) -> u32 {
    let word = words.word(offset);
    match word.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => wanted,
        Err(found) => found,
    }
}
