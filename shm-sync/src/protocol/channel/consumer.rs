//! How a message is received: it is found at the tail, read, and released. Records that dead producers left are
//! skipped.

use super::{Ring, damaged};
use crate::protocol::{
    layout::channel::{BUSY, LENGTH, SKIP, record_size},
    memory::{Memory, Ordering, pause},
    owner::Owner,
    stamp::Damaged,
    step::{Patience, Pause, Peers, Step},
};
use shm_lifetime::fault;

/// What the consumer knows of the ring. `tail` is authoritative; the shared word lags behind it.
///
/// A binding for another language may receive on its own within it: while the header at `tail` is a message's whose
/// record is at most `readable` long, read it, add the record's size to `tail` and take it from `readable`, copy the
/// tail to `tail_published`, store it in shared memory, and wake the producers if they may sleep.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ReceiveWindow {
    /// Where the next record is.
    pub tail: u32,
    /// The tail in shared memory.
    pub tail_published: u32,
    /// How many bytes from the tail on are known to be records, in one piece.
    pub readable: u32,
}

/// The consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    owner: Owner,
    pub(crate) window: ReceiveWindow,
    head_seen: u32,
    busy: Patience,
    // How long to look away between two looks for a message, and how often it was looked for.
    glance: u32,
    spins: u32,
    /// How many messages were lost with their producers.
    pub(crate) lost: u64,
}

// How long a consumer spins, in pauses of the processor (tens of nanoseconds each), and how long it looks away.
const MOST_PAUSES: u32 = 256;
const MOST_GLANCE: u32 = 128;
const PROBE: u32 = 16;
const PROBE_EVERY: u32 = 32;

/// A message in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: u32,
    pub(crate) length: u32,
}

/// What the consumer finds at its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Message(Record),
    Nothing,
    Busy { position: u32 },
}

impl Found {
    pub(crate) const fn message(self) -> Option<Record> {
        match self {
            Self::Message(record) => Some(record),
            _ => None,
        }
    }
}

impl<'a, M: Memory<'a>> Ring<M> {
    /// Becomes the consumer, or returns the current one.
    pub(crate) fn begin_receiving(&self, owner: Owner, peers: impl Peers) -> Result<Consumer, Owner> {
        let word = self.only_consumer();
        word.attempt(owner, peers).ok_or_else(|| word.owner())?;
        let tail = self.tail().load(Ordering::Acquire);
        let window = ReceiveWindow { tail, tail_published: tail, readable: 0 };
        let busy = Patience::default();
        Ok(Consumer { owner, window, head_seen: tail, busy, glance: 1, spins: 0, lost: 0 })
    }

    pub(crate) fn end_receiving(&self, consumer: &Consumer) {
        // An error means that the bytes were overwritten; then there is nothing of ours to end.
        drop(self.only_consumer().release(consumer.owner, 1));
    }

    /// The next message, if it is there without looking at the head.
    #[inline]
    pub(crate) fn known_message(&self, consumer: &Consumer) -> Option<Record> {
        let position = consumer.window.tail;
        let length = self.header(position).load(Ordering::Acquire);
        let there = length & (BUSY | SKIP) == 0 && record_size(length) <= consumer.window.readable;
        there.then_some(Record { position, length })
    }

    /// The next message, known or not. Skips records that are no message, at most one round of the ring. If there is
    /// no message, the room of skipped records is free: a caller that only tries releases nothing later.
    pub(crate) fn find(&self, consumer: &mut Consumer, peers: impl Peers) -> Result<Found, Damaged> {
        // If one producer has died, the producers of the records behind it may have died with it: check them at once.
        let mut is_over = false;
        let mut round = self.capacity;
        loop {
            // Also behind a record that was skipped: a message may have come since.
            if consumer.window.tail == consumer.head_seen {
                consumer.head_seen = self.head().load(Ordering::Acquire);
            }
            let position = consumer.window.tail;
            let used = self.used(consumer.head_seen, position)?;
            if used == 0 {
                self.publish_tail(consumer);
                return Ok(Found::Nothing);
            }
            consumer.window.readable = used.min(self.until_end(position));
            let header = self.header(position).load(Ordering::Acquire);
            let length = header & LENGTH;
            let size = record_size(length);
            if size > consumer.window.readable {
                return Err(damaged("a record is longer than its ring"));
            }
            if header & (BUSY | SKIP) == 0 {
                return Ok(Found::Message(Record { position, length }));
            }
            if header & BUSY != 0 {
                is_over = is_over || peers.is_over(&mut consumer.busy);
                if !is_over || !self.was_left_behind(position, peers) {
                    self.publish_tail(consumer);
                    return Ok(Found::Busy { position });
                }
                // Its producer may have committed just before it died.
                if self.header(position).load(Ordering::Acquire) & BUSY == 0 {
                    continue;
                }
                consumer.lost += 1;
            }
            // More cannot be there while their room is not free, unless somebody keeps moving the head.
            round = round.checked_sub(size).ok_or(damaged("it has more records than fit into it"))?;
            consumer.busy.restart();
            consumer.window.tail = position.wrapping_add(size);
            consumer.window.readable -= size;
        }
    }

    #[cold]
    fn was_left_behind(&self, position: u32, peers: impl Peers) -> bool {
        !peers.is_alive(Owner::from_word(self.owner(position).load(Ordering::Relaxed)))
    }

    /// The next message, or how to wait for it.
    pub(crate) fn find_step(
        &self,
        consumer: &mut Consumer,
        peers: impl Peers,
    ) -> Result<Step<'a, Record>, Damaged> {
        Ok(match self.find(consumer, peers)? {
            Found::Message(record) => Step::Ready(record),
            found => Step::Wait(self.wait_for_message(consumer, found)),
        })
    }

    /// The same for a caller that may use its thread: it polls for a while before it sleeps.
    pub(crate) fn find_step_soon(
        &self,
        consumer: &mut Consumer,
        peers: impl Peers,
    ) -> Result<Step<'a, Record>, Damaged> {
        let found = self.find(consumer, peers)?;
        match found {
            Found::Message(record) => Ok(Step::Ready(record)),
            _ if self.spin_for_message(consumer, found) => self.find_step(consumer, peers),
            _ => Ok(Step::Wait(self.wait_for_message(consumer, found))),
        }
    }

    fn wait_for_message(&self, consumer: &Consumer, found: Found) -> Pause<'a> {
        self.consumer_event().prepare(|| self.is_changed(found, consumer))
    }

    /// Polls for a message for a while.
    ///
    /// Each look takes the head's cache line away from its producer. If messages come in a stream, longer pauses
    /// between the looks find many at once, and do not slow each of them down. If they come one by one, a pause only
    /// delays them. Now and then a longer glance finds out which it is.
    fn spin_for_message(&self, consumer: &mut Consumer, found: Found) -> bool {
        consumer.spins = consumer.spins.wrapping_add(1);
        let glance = if consumer.spins.is_multiple_of(PROBE_EVERY) {
            consumer.glance.max(PROBE)
        } else {
            consumer.glance
        };
        for _ in 0..MOST_PAUSES.div_ceil(glance) {
            pause(glance);
            if self.is_changed(found, consumer) {
                let several = self.has_several(consumer.window.tail);
                consumer.glance =
                    if several { (glance * 2).min(MOST_GLANCE) } else { (consumer.glance / 2).max(1) };
                return true;
            }
        }
        consumer.glance = 1;
        false
    }

    fn has_several(&self, tail: u32) -> bool {
        let first = self.header(tail).load(Ordering::Relaxed) & LENGTH;
        self.head().load(Ordering::Relaxed).wrapping_sub(tail) > record_size(first)
    }

    // Whether looking again is worth while.
    fn is_changed(&self, found: Found, consumer: &Consumer) -> bool {
        match found {
            Found::Busy { position } => self.header(position).load(Ordering::SeqCst) & BUSY == 0,
            _ => self.head().load(Ordering::SeqCst) != consumer.head_seen,
        }
    }

    /// Releases the message: its room is free.
    #[inline]
    pub(crate) fn release(&self, consumer: &mut Consumer, record: Record) {
        let size = record_size(record.length);
        consumer.window.tail = record.position.wrapping_add(size);
        consumer.window.readable -= size;
        fault::step();
        self.publish_tail(consumer);
    }

    #[inline]
    fn publish_tail(&self, consumer: &mut Consumer) {
        if consumer.window.tail == consumer.window.tail_published {
            return;
        }
        consumer.window.tail_published = consumer.window.tail;
        self.tail().swap(consumer.window.tail, Ordering::SeqCst);
        fault::step();
        self.wake_producers();
    }
}
