//! The first words of a structure: what it is, and with which options. The first user writes them, each by
//! compare-and-swap and always in the same order, so whoever is killed half-way is completed by the next.

use super::{
    layout::{LIVE, MAGIC, Structure},
    memory::{Memory, Ordering},
};

/// An option: its name, its word, its value.
pub(crate) type Choice = (&'static str, u32, u32);

/// Why what is there is not what was wanted.
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

    /// Whether the structure is there; an error where something else is.
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
        live: u32,
        choices: &[Choice],
    ) -> Result<(), Mismatch> {
        self.is_stamped(memory)?;
        if set_once(memory, LIVE, live) != live {
            return Err(self.not(Why::OtherLiveFile));
        }
        for &(option, offset, wanted) in choices {
            let found = set_once(memory, offset, wanted);
            if found != wanted {
                return Err(self.not(Why::Option { option, found, wanted }));
            }
        }
        match set_once(memory, MAGIC, self.magic()) {
            found if found == self.magic() => Ok(()),
            found => Err(self.not(Why::Foreign { found })),
        }
    }

    /// Checks that the structure is there and is used with this live file.
    pub(crate) fn check<'a>(self, memory: impl Memory<'a>, live: u32) -> Result<(), Mismatch> {
        if !self.is_stamped(memory)? {
            return Err(self.not(Why::Fresh));
        }
        if memory.word(LIVE).load(Ordering::Relaxed) != live {
            return Err(self.not(Why::OtherLiveFile));
        }
        Ok(())
    }

    pub(crate) const fn damaged(self, how: &'static str) -> Damaged {
        Damaged { what: self.name, how }
    }
}

/// What stands there, `wanted` from now on if it was nothing.
fn set_once<'a>(memory: impl Memory<'a>, offset: u32, wanted: u32) -> u32 {
    match memory.word(offset).compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => wanted,
        Err(found) => found,
    }
}
