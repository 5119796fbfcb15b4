//! Messages of any size from one process to another, through a ring of bytes.

mod receiver;
mod sender;

use crate::protocol::{
    channel::{Ring, consumer::Record},
    layout::channel::{CAPACITY, CAPACITY_MAX, CAPACITY_MIN, DATA, MANY, ONE, PRODUCERS, STRUCTURE},
    memory::{Memory, Ordering},
};
use crate::{Live, Owner, Region, SyncError, caller::Caller, place};
pub use receiver::{Message, Receiver};
pub use sender::{Reservation, Reserving, Sender};

/// How many producers may send at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producers {
    /// One, which makes sending cheaper.
    One,
    /// Any number.
    Many,
}

impl Producers {
    const fn word(self) -> u32 {
        match self {
            Self::One => ONE,
            Self::Many => MANY,
        }
    }

    pub(crate) const fn of_word(word: u32) -> Option<Self> {
        match word {
            ONE => Some(Self::One),
            MANY => Some(Self::Many),
            _ => None,
        }
    }
}

/// The options of a channel. Every process that opens it passes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    /// The ring's size in bytes: a power of two, 64 to 2^30. A message may take up to half of it.
    pub capacity: u32,
    /// How many producers may send.
    pub producers: Producers,
}

/// A channel in shared memory: one consumer, and one or many producers.
///
/// If a producer is killed, only the message that it had not committed is lost. If the consumer is killed, the next
/// consumer gets the messages that it had not released.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    region: Region<'a>,
    ring: Ring<Region<'a>>,
    producers: Producers,
    caller: Caller,
}

impl<'a> Channel<'a> {
    /// How many bytes it takes. It must begin at a multiple of 64.
    pub const fn byte_len(options: &ChannelOptions) -> usize {
        DATA as usize + options.capacity as usize
    }

    /// Opens the channel at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If an option or the place is invalid, or the bytes there are something else.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        options: &ChannelOptions,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        let capacity = check_capacity(options.capacity)?;
        let choices = [("capacity", CAPACITY, capacity), ("producers", PRODUCERS, options.producers.word())];
        let region = place::open(STRUCTURE, region, offset, Self::byte_len(options), live, &choices)?;
        let (ring, producers) = (Ring::new(region, capacity), options.producers);
        Ok(Self { region, ring, producers, caller: Caller::thread(live) })
    }

    /// Opens the channel that exists at `offset`, with any options.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] if there is none; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        region.writable()?;
        let header = region.from(offset, DATA as usize)?;
        header.aligned(STRUCTURE.name, STRUCTURE.align)?;
        header.sound_result(STRUCTURE.check(header, live))?;
        let capacity = check_capacity(header.word(CAPACITY).load(Ordering::Relaxed))
            .map_err(|_| STRUCTURE.damaged("its capacity is impossible"))?;
        let producers = Producers::of_word(header.word(PRODUCERS).load(Ordering::Relaxed))
            .ok_or_else(|| STRUCTURE.damaged("its number of producers is impossible"))?;
        Self::open(region, offset, &ChannelOptions { capacity, producers }, live)
    }

    /// The options it was created with.
    pub const fn options(&self) -> ChannelOptions {
        ChannelOptions { capacity: self.ring.capacity(), producers: self.producers }
    }

    /// The length of the longest message that it can carry.
    pub const fn max_message(&self) -> usize {
        self.ring.max_message() as usize
    }

    /// Returns the same channel, but with `owner` as the owner of its ends, and not the thread that makes them. This is
    /// for something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Returns a producer's end.
    ///
    /// # Errors
    ///
    /// [`SyncError::Taken`] if the channel allows one producer, and another one is active.
    pub fn sender(&self) -> Result<Sender<'a>, SyncError> {
        self.region.sound_result(Sender::new(*self))
    }

    /// Returns the consumer's end.
    ///
    /// # Errors
    ///
    /// [`SyncError::Taken`] if another one is active.
    pub fn receiver(&self) -> Result<Receiver<'a>, SyncError> {
        self.region.sound_result(Receiver::new(*self))
    }
}

/// A reservation or a message that was kept. Resume it with the end that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    position: u32,
    length: u32,
}

impl From<Record> for Kept {
    fn from(Record { position, length }: Record) -> Self {
        Self { position, length }
    }
}

fn check_capacity(capacity: u32) -> Result<u32, SyncError> {
    if capacity.is_power_of_two() && (CAPACITY_MIN..=CAPACITY_MAX).contains(&capacity) {
        return Ok(capacity);
    }
    let must = "a power of two, 64 to 2^30";
    Err(SyncError::OutOfRange { option: "the capacity", value: capacity.into(), must })
}

#[cfg(test)]
mod tests;
