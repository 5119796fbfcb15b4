//! Messages from one producer to many readers, each at its own pace.

use crate::{
    Error, Segment,
    owned::{Owned, wait},
};
use shm_sync::{
    Broadcast as Raw, BroadcastOptions, Producer as RawProducer, Reader as RawReader, Received, Step,
};
use std::time::Duration;

/// A broadcast in shared memory. A slow reader misses messages, but does not delay the producer.
///
/// ```
/// # use shm_segments::{Broadcast, BroadcastOptions, Error, Segment};
/// # let segment = Segment::create_anywhere(8192)?;
/// let prices = Broadcast::open(&segment, 0, &BroadcastOptions { slots: 16, max_message: 8 })?;
/// let (mut producer, mut reader) = (prices.producer()?, prices.reader()?);
/// producer.send(b"1.25")?;
/// let (received, message) = reader.receive()?;
/// assert_eq!((received.missed, &message[..]), (0, &b"1.25"[..]));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Broadcast(Owned<Raw<'static>>);

/// Sends messages to all who read.
#[derive(Debug)]
pub struct Producer(Owned<RawProducer<'static>>);

/// Reads messages at its own pace.
#[derive(Debug)]
pub struct Reader(Owned<RawReader<'static>>);

impl Broadcast {
    /// How many bytes it takes. It must begin at a multiple of 64.
    pub const fn byte_len(options: &BroadcastOptions) -> usize {
        Raw::byte_len(options)
    }

    /// Opens the broadcast at `offset` of a segment. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If it does not fit there, the bytes there are something else, or an option is invalid.
    pub fn open(segment: &Segment, offset: usize, options: &BroadcastOptions) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, live| Raw::open(region, offset, options, live)).map(Self)
    }

    /// Opens the broadcast that exists at `offset`, with the options it was created with.
    ///
    /// # Errors
    ///
    /// [`Fresh`](shm_sync::SyncError::Fresh) if there is none; otherwise as [`open`](Self::open).
    pub fn attach(segment: &Segment, offset: usize) -> Result<Self, Error> {
        Owned::open(segment, offset, |region, _| Raw::attach(region, offset)).map(Self)
    }

    /// The options it was created with.
    pub const fn options(&self) -> BroadcastOptions {
        self.0.raw.options()
    }

    /// Returns the producer's end.
    ///
    /// # Errors
    ///
    /// [`Taken`](shm_sync::SyncError::Taken) if another one is active.
    pub fn producer(&self) -> Result<Producer, Error> {
        Ok(Producer(self.0.part(|broadcast| broadcast.producer(self.0.live))?))
    }

    /// Returns a reader of the messages to come.
    ///
    /// # Errors
    ///
    /// [`Damaged`](shm_sync::SyncError::Damaged) if the bytes contradict each other.
    pub fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader(self.0.part(Raw::reader)?))
    }
}

impl Producer {
    /// Sends a message, and returns its number. Never waits.
    ///
    /// # Errors
    ///
    /// [`TooLong`](shm_sync::SyncError::TooLong) if the message is longer than `max_message` of the broadcast.
    pub fn send(&mut self, message: &[u8]) -> Result<u64, Error> {
        Ok(self.0.raw.send(message)?)
    }
}

impl Reader {
    /// Goes back to the oldest message that is still there.
    ///
    /// # Errors
    ///
    /// [`Damaged`](shm_sync::SyncError::Damaged) if the bytes contradict each other.
    pub fn rewind(&mut self) -> Result<(), Error> {
        Ok(self.0.raw.rewind()?)
    }

    /// Receives the next message, its number, and how many were missed before it. Waits until there is one.
    ///
    /// # Errors
    ///
    /// As [`rewind`](Self::rewind).
    pub fn receive(&mut self) -> Result<(Received, Vec<u8>), Error> {
        let mut message = Vec::new();
        Ok((self.0.raw.receive(&mut message)?, message))
    }

    /// Receives the next message, if there is one now.
    ///
    /// # Errors
    ///
    /// As [`rewind`](Self::rewind).
    pub fn try_receive(&mut self) -> Result<Option<(Received, Vec<u8>)>, Error> {
        let mut message = Vec::new();
        Ok(self.0.raw.try_receive(&mut message)?.map(|received| (received, message)))
    }

    /// Receives the next message; `None` if `timeout` is over.
    ///
    /// # Errors
    ///
    /// As [`rewind`](Self::rewind).
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<(Received, Vec<u8>)>, Error> {
        let mut message = Vec::new();
        let received = self.0.raw.receive_timeout(&mut message, timeout)?;
        Ok(received.map(|received| (received, message)))
    }

    /// Receives the next message, without blocking a thread.
    ///
    /// # Errors
    ///
    /// As [`rewind`](Self::rewind).
    pub async fn receive_async(&mut self) -> Result<(Received, Vec<u8>), Error> {
        let Owned { raw, segment, .. } = &mut self.0;
        loop {
            let receive = || {
                Ok(match raw.peek_step()? {
                    Step::Wait(pause) => Step::Wait(pause),
                    Step::Ready(frame) => {
                        let mut message = Vec::with_capacity(frame.len());
                        frame.append_to(&mut message);
                        // None if the producer has overwritten it meanwhile.
                        Step::Ready(frame.finish().map(|received| (received, message)))
                    }
                })
            };
            if let Some(received) = wait(segment, receive).await? {
                return Ok(received);
            }
        }
    }
}
