//! The ring itself: positions, records, and how the two sides sleep and wake.
//!
//! Positions are byte counts that wrap around at 2^32, always multiples of 8. A record lies in one piece; where
//! it does not fit before the ring's end, a record to skip fills the rest.

pub(crate) mod layout;

use self::layout::*;
use crate::protocol::{
    cell::{AtomicU32, Ordering, Words, pause},
    event_count::EventCount,
    lock_word::{LockWord, Queue},
    step::{Patience, Pause, Step},
};
use crate::{Owner, SyncError, storm::may_die_here};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<W> {
    words: W,
    capacity: u32,
}

/// What the only producer knows. Its head is the truth; the shared one follows.
///
/// A binding for another language may send on its own within it: write a record of `size` bytes (a multiple of 8, at
/// most `room`) at `head`, add `size` to `head` and take it from `room`, store the head in shared memory, and wake the
/// consumer if it may sleep. Where there are many producers, the window is empty.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SendWindow {
    /// Where the next record goes.
    pub head: u32,
    /// How many bytes from there on are known to be free, in one piece.
    pub room: u32,
}

/// What the consumer knows of the ring. Its tail is the truth; the shared one follows.
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

/// What the consumer knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumer {
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

/// What the consumer finds at its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Message { position: u32, length: u32 },
    Nothing,
    Busy { position: u32 },
}

impl SendWindow {
    /// Where a record goes, if there is room without looking.
    #[inline]
    pub(crate) fn known_room(&self, length: u32) -> Option<u32> {
        (record_size(length) <= self.room).then_some(self.head)
    }
}

const fn damaged(how: &'static str) -> SyncError {
    SyncError::Damaged { what: KIND.name, how }
}

impl<'a, W: Words<'a>> Ring<W> {
    /// `words` reach up to `DATA + capacity`, and `capacity` is a power of two.
    pub(crate) fn new(words: W, capacity: u32) -> Self {
        Self { words, capacity }
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    #[inline]
    pub(crate) fn word(&self, offset: u32) -> &'a AtomicU32 {
        self.words.word(offset)
    }

    fn consumer_event(&self) -> EventCount<'a> {
        EventCount(self.word(CONSUMER_EVENT))
    }

    fn producers_event(&self) -> EventCount<'a> {
        EventCount(self.word(PRODUCERS_EVENT))
    }

    /// Byte offset of the record at `position`.
    #[inline]
    pub(crate) fn offset(&self, position: u32) -> u32 {
        // The mask keeps it inside whatever the position, and aligned.
        DATA + (position & (self.capacity - 8))
    }

    #[inline]
    fn header(&self, position: u32) -> &'a AtomicU32 {
        self.word(self.offset(position))
    }

    #[inline]
    fn owner(&self, position: u32) -> &'a AtomicU32 {
        self.word(self.offset(position) + OWNER)
    }

    #[inline]
    fn until_end(&self, position: u32) -> u32 {
        self.capacity - (position & (self.capacity - 1))
    }

    /// How far `head` is before `tail`, if that can be.
    #[inline]
    fn used(&self, head: u32, tail: u32) -> Result<u32, SyncError> {
        let used = head.wrapping_sub(tail);
        if used > self.capacity || !(head | tail).is_multiple_of(8) {
            return Err(damaged("its positions are impossible"));
        }
        Ok(used)
    }

    /// How much to skip so that `size` bytes fit in one piece, or `None` while there is no room.
    #[inline]
    fn skip(&self, head: u32, tail: u32, size: u32) -> Result<Option<u32>, SyncError> {
        let free = self.capacity - self.used(head, tail)?;
        let to_end = self.until_end(head);
        let skip = if size > to_end { to_end } else { 0 };
        Ok((skip + size <= free).then_some(skip))
    }

    #[inline]
    fn fill_up(&self, position: u32, skip: u32) {
        if skip > 0 {
            self.owner(position).store(0, Ordering::Relaxed);
            self.header(position).store((skip - RECORD) | SKIP, Ordering::Relaxed);
        }
    }

    /// The pause of a producer that saw too little room behind `tail`.
    pub(crate) fn wait_for_room(&self, tail: u32) -> Pause<'a> {
        let word = self.word(TAIL);
        self.producers_event().prepare(|| word.load(Ordering::SeqCst) != tail)
    }

    /// Something was sent.
    #[inline]
    pub(crate) fn wake_consumer(&self) {
        self.consumer_event().notify();
    }

    /// Something was received.
    #[inline]
    pub(crate) fn wake_producers(&self) {
        self.producers_event().notify();
    }

    pub(crate) fn one_producer(&self) -> SendWindow {
        SendWindow { head: self.word(HEAD).load(Ordering::Acquire), room: 0 }
    }

    /// Room for a record, or the tail that leaves none. Nobody sees the record before it is published.
    #[inline]
    pub(crate) fn reserve_as_one(
        &self,
        producer: &mut SendWindow,
        length: u32,
    ) -> Result<Result<u32, u32>, SyncError> {
        if record_size(length) <= producer.room {
            return Ok(Ok(producer.head));
        }
        self.look_for_room(producer, length)
    }

    #[cold]
    fn look_for_room(&self, producer: &mut SendWindow, length: u32) -> Result<Result<u32, u32>, SyncError> {
        if let Some(position) = producer.known_room(length) {
            return Ok(Ok(position));
        }
        let tail = self.word(TAIL).load(Ordering::Acquire);
        let Some(skip) = self.skip(producer.head, tail, record_size(length))? else {
            return Ok(Err(tail));
        };
        self.fill_up(producer.head, skip);
        producer.head = producer.head.wrapping_add(skip);
        let free = self.capacity - self.used(producer.head, tail)?;
        producer.room = free.min(self.until_end(producer.head));
        Ok(Ok(producer.head))
    }

    #[inline]
    pub(crate) fn publish_as_one(&self, producer: &mut SendWindow, position: u32, length: u32) {
        self.header(position).store(length, Ordering::Relaxed);
        producer.head = position.wrapping_add(record_size(length));
        producer.room -= record_size(length);
        may_die_here!();
        self.word(HEAD).swap(producer.head, Ordering::SeqCst);
        may_die_here!();
        self.wake_consumer();
    }

    /// Room for a record, the tail that leaves none, or a wait for the other producers.
    pub(crate) fn reserve_as_many(
        &self,
        owner: Owner,
        length: u32,
        queue: &mut Queue,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Result<Step<'a, Result<u32, u32>>, SyncError> {
        let lock = LockWord(self.word(LOCK));
        if !lock.try_acquire(owner)
            && !crate::protocol::cell::spin(|| lock.try_acquire_if_free(owner))
            && let Step::Wait(pause) = lock.step(owner, queue, is_alive)
        {
            return Ok(Step::Wait(pause));
        }
        // Whoever died here before us had not moved the head, or had finished.
        may_die_here!();
        let reserved = self.reserve_locked(owner, length);
        may_die_here!();
        lock.release(owner, 1)?;
        may_die_here!();
        reserved.map(Step::Ready)
    }

    #[inline]
    fn reserve_locked(&self, owner: Owner, length: u32) -> Result<Result<u32, u32>, SyncError> {
        let size = record_size(length);
        let head = self.word(HEAD).load(Ordering::Relaxed);
        let tail_seen = self.word(TAIL_SEEN);
        let skip = match self.skip(head, tail_seen.load(Ordering::Relaxed), size)? {
            Some(skip) => skip,
            None => {
                let tail = self.word(TAIL).load(Ordering::Acquire);
                tail_seen.store(tail, Ordering::Relaxed);
                match self.skip(head, tail, size)? {
                    Some(skip) => skip,
                    None => return Ok(Err(tail)),
                }
            }
        };
        self.fill_up(head, skip);
        let position = head.wrapping_add(skip);
        self.owner(position).store(owner.get(), Ordering::Relaxed);
        self.header(position).store(length | BUSY, Ordering::Relaxed);
        may_die_here!();
        self.word(HEAD).store(position.wrapping_add(size), Ordering::Release);
        Ok(Ok(position))
    }

    /// The message is there, or (`length` with [`SKIP`]) will never be.
    #[inline]
    pub(crate) fn commit_as_many(&self, position: u32, length: u32) {
        may_die_here!();
        self.header(position).swap(length, Ordering::SeqCst);
        may_die_here!();
        self.wake_consumer();
    }

    pub(crate) fn consumer(&self) -> Consumer {
        let tail = self.word(TAIL).load(Ordering::Acquire);
        let window = ReceiveWindow { tail, tail_published: tail, readable: 0 };
        Consumer { window, head_seen: tail, busy: Patience::default(), glance: 1, spins: 0, lost: 0 }
    }

    /// The position and length of the next message, if it is there without looking at the head.
    #[inline]
    pub(crate) fn known_message(&self, consumer: &Consumer) -> Option<(u32, u32)> {
        let position = consumer.window.tail;
        let header = self.header(position).load(Ordering::Acquire);
        let there = header & (BUSY | SKIP) == 0 && record_size(header) <= consumer.window.readable;
        there.then_some((position, header))
    }

    /// The next message, known or not. Skips what is none, at most one round of the ring.
    pub(crate) fn find(
        &self,
        consumer: &mut Consumer,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Result<Found, SyncError> {
        // Where one has died, those behind it may have died with it: they are asked about at once.
        let mut is_over = false;
        loop {
            // Also behind a record that was skipped: a message may have come since.
            if consumer.window.tail == consumer.head_seen {
                consumer.head_seen = self.word(HEAD).load(Ordering::Acquire);
            }
            let position = consumer.window.tail;
            let used = self.used(consumer.head_seen, position)?;
            if used == 0 {
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
                return Ok(Found::Message { position, length });
            }
            if header & BUSY != 0 {
                is_over = is_over || consumer.busy.is_over();
                if !is_over || !self.was_left_behind(position, &is_alive) {
                    return Ok(Found::Busy { position });
                }
                // Its producer may have committed just before it died.
                if self.header(position).load(Ordering::Acquire) & BUSY == 0 {
                    continue;
                }
                consumer.lost += 1;
            }
            consumer.busy.restart();
            consumer.window.tail = position.wrapping_add(size);
            consumer.window.readable -= size;
        }
    }

    #[cold]
    fn was_left_behind(&self, position: u32, is_alive: impl Fn(Owner) -> bool) -> bool {
        !is_alive(Owner::from_bits(self.owner(position).load(Ordering::Relaxed)))
    }

    /// The pause of a consumer that found no message.
    pub(crate) fn wait_for_message(&self, consumer: &mut Consumer, found: Found) -> Pause<'a> {
        self.publish_tail(consumer);
        self.consumer_event().prepare(|| self.is_changed(found, consumer))
    }

    /// Looks for a while whether a message came.
    ///
    /// Each look takes the head's cache line away from its producer. Where messages stream in, one who looks away
    /// for longer finds many at once instead of slowing each of them down; where they come one by one, looking
    /// away only makes them late. Now and then a longer glance finds out which it is.
    pub(crate) fn spin_for_message(&self, consumer: &mut Consumer, found: Found) -> bool {
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
        self.word(HEAD).load(Ordering::Relaxed).wrapping_sub(tail) > record_size(first)
    }

    /// Whether looking again is worth while.
    fn is_changed(&self, found: Found, consumer: &Consumer) -> bool {
        match found {
            Found::Busy { position } => self.header(position).load(Ordering::SeqCst) & BUSY == 0,
            _ => self.word(HEAD).load(Ordering::SeqCst) != consumer.head_seen,
        }
    }

    /// The message at `position` is done with: its room is free.
    #[inline]
    pub(crate) fn release(&self, consumer: &mut Consumer, position: u32, length: u32) {
        consumer.window.tail = position.wrapping_add(record_size(length));
        consumer.window.readable -= record_size(length);
        may_die_here!();
        self.publish_tail(consumer);
    }

    #[inline]
    fn publish_tail(&self, consumer: &mut Consumer) {
        if consumer.window.tail == consumer.window.tail_published {
            return;
        }
        consumer.window.tail_published = consumer.window.tail;
        self.word(TAIL).swap(consumer.window.tail, Ordering::SeqCst);
        may_die_here!();
        self.wake_producers();
    }
}
