//! Messages from one producer to many readers, each at its own pace.

mod producer;
mod reader;

use crate::protocol::{
    broadcast::Latest,
    layout::broadcast::{DATA, MAX_MESSAGE, SIZE_MAX, SLOTS, SLOTS_MIN, STRUCTURE, stride},
    memory::{Memory, Ordering},
    stamp::{Mismatch, Why},
};
use crate::{Live, Owner, Region, SyncError, caller::Named};
pub use producer::{Draft, Producer};
pub use reader::{Frame, KeptFrame, Reader, Received};

/// The options of a broadcast. Every process that opens it passes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastOptions {
    /// How many messages it keeps: a power of two, at least 2. A reader that is further behind misses messages.
    pub slots: u32,
    /// The length of the longest message in bytes, at least 1.
    pub max_message: u32,
}

/// A broadcast in shared memory: one producer, any number of readers.
///
/// Readers write nothing, so a slow or killed reader never delays the producer. A reader is told how many messages it
/// missed. If the producer is killed, readers never see a half-written message, and the next producer goes on with the
/// next number.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast<'a> {
    region: Region<'a>,
    slots: Latest<Region<'a>>,
    owner: Option<Named>,
}

impl<'a> Broadcast<'a> {
    /// How many bytes it takes. It must begin at a multiple of 64.
    pub const fn byte_len(options: &BroadcastOptions) -> usize {
        let size = (options.slots as u64).saturating_mul(stride(options.max_message));
        // More than there can be, where it does not fit into a usize.
        let size = size.saturating_add(DATA as u64);
        if size > usize::MAX as u64 { usize::MAX } else { size as usize }
    }

    /// Opens the broadcast at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If an option or the place is invalid, or the bytes there are something else.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        options: &BroadcastOptions,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        region.writable()?;
        let broadcast = Self::over(region, offset, options)?;
        let words = [("slots", SLOTS, options.slots), ("max_message", MAX_MESSAGE, options.max_message)];
        region.sound_result(STRUCTURE.stamp(broadcast.region, live, &words))?;
        Ok(broadcast)
    }

    fn over(region: Region<'a>, offset: usize, options: &BroadcastOptions) -> Result<Self, SyncError> {
        let refuse =
            |option, value: u32, must| Err(SyncError::OutOfRange { option, value: value.into(), must });
        let BroadcastOptions { slots, max_message } = *options;
        if !slots.is_power_of_two() || slots < SLOTS_MIN {
            return refuse("the number of slots", slots, "a power of two, 2 or more");
        }
        if max_message == 0 {
            return refuse("the longest message", max_message, "at least 1");
        }
        let size = u64::from(slots).saturating_mul(stride(max_message));
        let Some(stride) = u32::try_from(stride(max_message)).ok().filter(|_| size <= SIZE_MAX) else {
            return refuse("the longest message", max_message, "so that all slots take at most 2 GiB");
        };
        let region = region.at(offset, Self::byte_len(options))?;
        region.aligned(STRUCTURE.name, STRUCTURE.align)?;
        Ok(Self { region, slots: Latest::new(region, slots, stride, max_message), owner: None })
    }

    /// Opens the broadcast that exists at `offset`, with any options. A read-only region is enough: its readers poll
    /// then.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] if there is none; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize) -> Result<Self, SyncError> {
        let header = region.from(offset, DATA as usize)?;
        header.aligned(STRUCTURE.name, STRUCTURE.align)?;
        if !header.sound_result(STRUCTURE.is_stamped(header))? {
            return Err(Mismatch { what: STRUCTURE.name, why: Why::Fresh }.into());
        }
        let word = |offset| header.word(offset).load(Ordering::Relaxed);
        let options = BroadcastOptions { slots: word(SLOTS), max_message: word(MAX_MESSAGE) };
        Self::over(region, offset, &options).map_err(|error| match error {
            SyncError::OutOfRange { .. } => STRUCTURE.damaged("its options are impossible").into(),
            error => error,
        })
    }

    /// The options it was created with.
    pub const fn options(&self) -> BroadcastOptions {
        BroadcastOptions { slots: self.slots.slots(), max_message: self.slots.max_message() }
    }

    /// The same broadcast, but `owner` is its producer, and not the calling thread. This is for something that acts
    /// like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { owner: Some(Named::new(owner)), ..self }
    }

    /// Returns the producer's end.
    ///
    /// # Errors
    ///
    /// [`SyncError::Taken`] if another one is active.
    pub fn producer(&self, live: &'static Live) -> Result<Producer<'a>, SyncError> {
        self.region.sound_result(Producer::new(*self, live))
    }

    /// Returns a reader of the messages to come.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] if the bytes contradict each other.
    pub fn reader(&self) -> Result<Reader<'a>, SyncError> {
        self.region.sound_result(Reader::new(*self))
    }
}

#[cfg(test)]
mod tests;
