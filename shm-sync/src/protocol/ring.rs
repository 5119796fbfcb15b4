//! The ring itself: positions, records, and how the two sides sleep and wake.
//!
//! Positions are byte counts that wrap around at 2^32, always multiples of 8. A record lies in one piece; where
//! it does not fit before the ring's end, a record to skip fills the rest.

pub(crate) mod layout;

use self::layout::*;
use crate::protocol::{
    cell::{AtomicU32, Ordering, Words},
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneProducer {
    head: u32,
    tail_seen: u32,
}

/// What the consumer knows. Its tail is the truth; the shared one follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumer {
    tail: u32,
    tail_published: u32,
    head_seen: u32,
    busy: Patience,
    /// How many messages were lost with their producers.
    pub(crate) lost: u64,
}

/// What the consumer finds at its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Message { position: u32, length: u32 },
    Nothing,
    Busy { position: u32 },
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

    #[inline]
    fn wake_consumer(&self) {
        self.consumer_event().notify();
    }

    pub(crate) fn one_producer(&self) -> OneProducer {
        let tail_seen = self.word(TAIL).load(Ordering::Acquire);
        OneProducer { head: self.word(HEAD).load(Ordering::Acquire), tail_seen }
    }

    /// Room for a record, or the tail that leaves none. Nobody sees the record before it is published.
    #[inline]
    pub(crate) fn reserve_as_one(
        &self,
        producer: &mut OneProducer,
        length: u32,
    ) -> Result<Result<u32, u32>, SyncError> {
        let size = record_size(length);
        let skip = match self.skip(producer.head, producer.tail_seen, size)? {
            Some(skip) => skip,
            None => {
                producer.tail_seen = self.word(TAIL).load(Ordering::Acquire);
                match self.skip(producer.head, producer.tail_seen, size)? {
                    Some(skip) => skip,
                    None => return Ok(Err(producer.tail_seen)),
                }
            }
        };
        self.fill_up(producer.head, skip);
        Ok(Ok(producer.head.wrapping_add(skip)))
    }

    #[inline]
    pub(crate) fn publish_as_one(&self, producer: &mut OneProducer, position: u32, length: u32) {
        self.header(position).store(length, Ordering::Relaxed);
        producer.head = position.wrapping_add(record_size(length));
        may_die_here!();
        self.word(HEAD).swap(producer.head, Ordering::SeqCst);
        may_die_here!();
        self.wake_consumer();
    }

    /// Room for a record, the tail that leaves none, or a wait for the other producers.
    #[inline]
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
        let (head_seen, busy) = (tail, Patience::default());
        Consumer { tail, tail_published: tail, head_seen, busy, lost: 0 }
    }

    /// Looks for the next message. Skips what is none, at most one round of the ring.
    #[inline]
    pub(crate) fn find(
        &self,
        consumer: &mut Consumer,
        is_alive: impl Fn(Owner) -> bool,
    ) -> Result<Found, SyncError> {
        loop {
            // Also behind a record that was skipped: a message may have come since.
            if consumer.tail == consumer.head_seen {
                consumer.head_seen = self.word(HEAD).load(Ordering::Acquire);
            }
            let position = consumer.tail;
            let used = self.used(consumer.head_seen, position)?;
            if used == 0 {
                return Ok(Found::Nothing);
            }
            let header = self.header(position).load(Ordering::Acquire);
            let length = header & LENGTH;
            let size = record_size(length);
            if size > used || size > self.until_end(position) {
                return Err(damaged("a record is longer than its ring"));
            }
            if header & (BUSY | SKIP) == 0 {
                return Ok(Found::Message { position, length });
            }
            if header & BUSY != 0 {
                if !self.was_left_behind(consumer, position, &is_alive) {
                    return Ok(Found::Busy { position });
                }
                // Its producer may have committed just before it died.
                if self.header(position).load(Ordering::Acquire) & BUSY == 0 {
                    continue;
                }
                consumer.lost += 1;
            }
            consumer.busy.restart();
            consumer.tail = position.wrapping_add(size);
        }
    }

    #[cold]
    fn was_left_behind(
        &self,
        consumer: &mut Consumer,
        position: u32,
        is_alive: impl Fn(Owner) -> bool,
    ) -> bool {
        consumer.busy.is_over() && !is_alive(Owner::from_bits(self.owner(position).load(Ordering::Relaxed)))
    }

    /// The pause of a consumer that found no message.
    pub(crate) fn wait_for_message(&self, consumer: &mut Consumer, found: Found) -> Pause<'a> {
        self.publish_tail(consumer);
        self.consumer_event().prepare(|| self.is_changed(found, consumer))
    }

    /// Whether looking again is worth while.
    pub(crate) fn is_changed(&self, found: Found, consumer: &Consumer) -> bool {
        match found {
            Found::Busy { position } => self.header(position).load(Ordering::SeqCst) & BUSY == 0,
            _ => self.word(HEAD).load(Ordering::SeqCst) != consumer.head_seen,
        }
    }

    /// The message at `position` is done with: its room is free.
    #[inline]
    pub(crate) fn release(&self, consumer: &mut Consumer, position: u32, length: u32) {
        consumer.tail = position.wrapping_add(record_size(length));
        may_die_here!();
        self.publish_tail(consumer);
    }

    #[inline]
    fn publish_tail(&self, consumer: &mut Consumer) {
        if consumer.tail == consumer.tail_published {
            return;
        }
        consumer.tail_published = consumer.tail;
        self.word(TAIL).swap(consumer.tail, Ordering::SeqCst);
        may_die_here!();
        self.producers_event().notify();
    }
}
