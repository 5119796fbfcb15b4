//! Messages from one or many producers to one consumer.

use crate::{
    Error, Segment,
    owned::{Owned, wait},
};
use shm_sync::{
    Channel as Raw, ChannelOptions, Message, Receiver as RawReceiver, Reservation, Reserving,
    Sender as RawSender, Step,
};
use std::time::Duration;

/// A channel in shared memory. If a producer is killed, only the message that it had not sent is lost. If the consumer
/// is killed, no message is lost.
///
/// ```
/// # use shm_segments::{Channel, ChannelOptions, Error, Producers, Segment};
/// # let segment = Segment::create_anywhere(8192)?;
/// let options = ChannelOptions { capacity: 4096, producers: Producers::Many };
/// let channel = Channel::open(&segment, 0, &options)?;
/// channel.sender()?.send(b"hello")?;
/// assert_eq!(channel.receiver()?.receive()?, b"hello");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Channel(Owned<Raw<'static>>);

// A `Reservation<'_, 'static>` or `Message<'_, 'static>` borrows its end, and returns nothing that outlives it.

/// Sends messages.
#[derive(Debug)]
pub struct Sender(Owned<RawSender<'static>>);

/// Receives messages, each once.
#[derive(Debug)]
pub struct Receiver(Owned<RawReceiver<'static>>);

impl Channel {
    /// How many bytes it takes. It must begin at a multiple of 64.
    pub const fn byte_len(options: &ChannelOptions) -> usize {
        Raw::byte_len(options)
    }

    /// Opens the channel at `offset` of a segment. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, the bytes there are something else, or an option is invalid.
    pub fn open(segment: &Segment, offset: usize, options: &ChannelOptions) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::open(region, offset, options, live)).map(Self)
    }

    /// Opens the channel that exists at `offset`, with the options it was created with.
    ///
    /// # Errors
    ///
    /// [`Fresh`](shm_sync::SyncError::Fresh) if there is none; otherwise as [`open`](Self::open).
    pub fn attach(segment: &Segment, offset: usize) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::attach(region, offset, live)).map(Self)
    }

    /// The options it was created with.
    pub const fn options(&self) -> ChannelOptions {
        self.0.raw.options()
    }

    /// The length of the longest message that it can carry.
    pub const fn max_message(&self) -> usize {
        self.0.raw.max_message()
    }

    /// Returns a producer's end.
    ///
    /// # Errors
    ///
    /// [`Taken`](shm_sync::SyncError::Taken) if the channel allows one producer, and another one is active.
    pub fn sender(&self) -> Result<Sender, Error> {
        Ok(Sender(self.0.part(Raw::sender)?))
    }

    /// Returns the consumer's end.
    ///
    /// # Errors
    ///
    /// [`Taken`](shm_sync::SyncError::Taken) if another one is active.
    pub fn receiver(&self) -> Result<Receiver, Error> {
        Ok(Receiver(self.0.part(Raw::receiver)?))
    }
}

impl Sender {
    /// Sends a message, and waits until there is room.
    ///
    /// # Errors
    ///
    /// [`TooLong`](shm_sync::SyncError::TooLong) if the message is longer than [`max_message`](Channel::max_message).
    pub fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        Ok(self.0.raw.send(message)?)
    }

    /// Sends a message if there is room now; returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn try_send(&mut self, message: &[u8]) -> Result<bool, Error> {
        Ok(self.0.raw.try_send(message)?)
    }

    /// Sends a message, or gives up when `timeout` is over; returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<bool, Error> {
        Ok(self.0.raw.send_timeout(message, timeout)?)
    }

    /// Sends a message without blocking a thread. If you drop the future before it is ready, nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_async(&mut self, message: &[u8]) -> Result<(), Error> {
        let Owned { raw, segment, .. } = &mut self.0;
        let mut reserving = Reserving::default();
        let send = || {
            Ok(match raw.reserve_step(message.len(), &mut reserving)? {
                Step::Wait(pause) => Step::Wait(pause),
                Step::Ready(mut reservation) => {
                    reservation.write(0, message);
                    reservation.commit();
                    Step::Ready(())
                }
            })
        };
        Ok(wait(segment, send).await?)
    }

    /// Reserves room for a message of `length` bytes, which you fill in place. Waits until there is room.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn reserve(&mut self, length: usize) -> Result<Reservation<'_, 'static>, Error> {
        Ok(self.0.raw.reserve(length)?)
    }
}

impl Receiver {
    /// Receives the next message. Waits until there is one.
    ///
    /// # Errors
    ///
    /// [`Damaged`](shm_sync::SyncError::Damaged) if the bytes contradict each other.
    pub fn receive(&mut self) -> Result<Vec<u8>, Error> {
        let mut message = Vec::new();
        self.0.raw.receive(&mut message)?;
        Ok(message)
    }

    /// Receives the next message, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn try_receive(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut message = Vec::new();
        Ok(self.0.raw.try_receive(&mut message)?.then_some(message))
    }

    /// Receives the next message; `None` if `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>, Error> {
        let mut message = Vec::new();
        Ok(self.0.raw.receive_timeout(&mut message, timeout)?.then_some(message))
    }

    /// Receives the next message, without blocking a thread. If you drop the future before it is ready, the message
    /// stays in the channel.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub async fn receive_async(&mut self) -> Result<Vec<u8>, Error> {
        let Owned { raw, segment, .. } = &mut self.0;
        let receive = || {
            Ok(match raw.peek_step()? {
                Step::Wait(pause) => Step::Wait(pause),
                Step::Ready(found) => {
                    let mut message = Vec::with_capacity(found.len());
                    found.append_to(&mut message);
                    found.release();
                    Step::Ready(message)
                }
            })
        };
        Ok(wait(segment, receive).await?)
    }

    /// Gives the next message in place, without a copy. Waits until there is one. If you do not release it, the next
    /// call gives it again.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn peek(&mut self) -> Result<Message<'_, 'static>, Error> {
        Ok(self.0.raw.peek()?)
    }

    /// How many messages this consumer found incomplete, because their producers were killed.
    pub const fn lost(&self) -> u64 {
        self.0.raw.lost()
    }
}
