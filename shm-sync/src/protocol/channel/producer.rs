//! How a message is sent: room is reserved, filled, and committed. One producer needs no lock; many take one to
//! reserve.

use super::Ring;
use crate::protocol::{
    layout::channel::{BUSY, LOCK, RECORD, SKIP, TAIL_SEEN, record_size},
    memory::{Memory, Ordering, spin},
    mutex::{LockState, LockWord},
    owner::Owner,
    stamp::Damaged,
    step::{Pause, Peers, Step},
};
use shm_lifetime::fault;

/// What the only producer knows. `head` is authoritative; the shared word lags behind it.
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

/// A producer.
#[derive(Debug)]
pub(crate) struct Producer {
    owner: Owner,
    is_only: bool,
    pub(crate) window: SendWindow,
}

/// There is no room behind this tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) tail: u32,
}

impl Producer {
    /// One of many.
    pub(crate) fn of_many(owner: Owner) -> Self {
        Self { owner, is_only: false, window: SendWindow::default() }
    }

    pub(crate) const fn is_only(&self) -> bool {
        self.is_only
    }

    /// Where a record goes, if there is room without looking.
    #[inline]
    pub(crate) fn known_room(&self, length: u32) -> Option<u32> {
        (record_size(length) <= self.window.room).then_some(self.window.head)
    }
}

impl<'a, M: Memory<'a>> Ring<M> {
    /// Becomes the only producer, or returns the current one.
    pub(crate) fn begin_sending(&self, owner: Owner, peers: impl Peers) -> Result<Producer, Owner> {
        let word = self.only_producer();
        word.attempt(owner, peers).ok_or_else(|| word.owner())?;
        let window = SendWindow { head: self.head().load(Ordering::Acquire), room: 0 };
        Ok(Producer { owner, is_only: true, window })
    }

    pub(crate) fn end_sending(&self, producer: &Producer) {
        if producer.is_only {
            // An error means that the bytes were overwritten; then there is nothing of ours to end.
            drop(self.only_producer().release(producer.owner, 1));
        }
    }

    /// How much to skip so that `size` bytes fit in one piece, or `None` while there is no room.
    #[inline]
    fn skip(&self, head: u32, tail: u32, size: u32) -> Result<Option<u32>, Damaged> {
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

    /// Room for a record, no room, or a wait for the other producers.
    #[inline]
    pub(crate) fn reserve(
        &self,
        producer: &mut Producer,
        length: u32,
        state: &mut LockState,
        peers: impl Peers,
    ) -> Result<Step<'a, Result<u32, NoRoom>>, Damaged> {
        if producer.is_only {
            self.reserve_as_one(&mut producer.window, length).map(Step::Ready)
        } else {
            self.reserve_as_many(producer.owner, length, state, peers)
        }
    }

    /// Room for a record, or how to wait for it.
    pub(crate) fn reserve_step(
        &self,
        producer: &mut Producer,
        length: u32,
        state: &mut LockState,
        peers: impl Peers,
    ) -> Result<Step<'a, u32>, Damaged> {
        let reserved = self.reserve(producer, length, state, peers)?;
        Ok(self.or_wait_for_room(reserved, state))
    }

    /// The same for a caller that may use its thread: it polls for a while before it sleeps.
    pub(crate) fn reserve_step_soon(
        &self,
        producer: &mut Producer,
        length: u32,
        state: &mut LockState,
        peers: impl Peers,
    ) -> Result<Step<'a, u32>, Damaged> {
        let reserved = self.reserve(producer, length, state, peers)?;
        if let Step::Ready(Err(NoRoom { tail: seen })) = reserved {
            spin(|| self.tail().load(Ordering::Relaxed) != seen);
            return self.reserve_step(producer, length, state, peers);
        }
        Ok(self.or_wait_for_room(reserved, state))
    }

    #[inline]
    fn or_wait_for_room(
        &self,
        reserved: Step<'a, Result<u32, NoRoom>>,
        state: &mut LockState,
    ) -> Step<'a, u32> {
        match reserved {
            Step::Ready(Ok(position)) => Step::Ready(position),
            Step::Ready(Err(NoRoom { tail })) => {
                // The next wait for the lock is another one.
                *state = LockState::default();
                Step::Wait(self.wait_for_room(tail))
            }
            Step::Wait(pause) => Step::Wait(pause),
        }
    }

    /// Room for a record if there is some now. Asks at once who lives.
    pub(crate) fn attempt_reserve(
        &self,
        producer: &mut Producer,
        length: u32,
        peers: impl Peers,
    ) -> Result<Option<u32>, Damaged> {
        if let Step::Ready(reserved) = self.reserve(producer, length, &mut LockState::default(), peers)? {
            return Ok(reserved.ok());
        }
        // The lock of the other producers is never held for long, unless by one that died.
        if self.lock().attempt(producer.owner, peers).is_none() {
            return Ok(None);
        }
        let reserved = self.reserve_locked(producer.owner, length);
        self.unlock(producer.owner)?;
        reserved.map(Result::ok)
    }

    /// The pause of a producer that saw too little room behind `tail`.
    fn wait_for_room(&self, tail: u32) -> Pause<'a> {
        self.producers_event().prepare(|| self.tail().load(Ordering::SeqCst) != tail)
    }

    // Nobody sees the record before it is published.
    #[inline]
    fn reserve_as_one(&self, window: &mut SendWindow, length: u32) -> Result<Result<u32, NoRoom>, Damaged> {
        let size = record_size(length);
        if size <= window.room {
            return Ok(Ok(window.head));
        }
        let tail = self.tail().load(Ordering::Acquire);
        let Some(skip) = self.skip(window.head, tail, size)? else {
            return Ok(Err(NoRoom { tail }));
        };
        self.fill_up(window.head, skip);
        window.head = window.head.wrapping_add(skip);
        let free = self.capacity - self.used(window.head, tail)?;
        window.room = free.min(self.until_end(window.head));
        Ok(Ok(window.head))
    }

    #[inline]
    fn lock(&self) -> LockWord<'a, M> {
        LockWord::at(self.memory, LOCK)
    }

    #[inline]
    fn unlock(&self, owner: Owner) -> Result<(), Damaged> {
        self.lock().release(owner, 1).map_err(|_| super::damaged("its lock was overwritten"))
    }

    #[inline]
    fn reserve_as_many(
        &self,
        owner: Owner,
        length: u32,
        state: &mut LockState,
        peers: impl Peers,
    ) -> Result<Step<'a, Result<u32, NoRoom>>, Damaged> {
        let lock = self.lock();
        if !lock.try_acquire(owner)
            && !spin(|| lock.try_acquire_if_free(owner))
            && let Step::Wait(pause) = lock.step(owner, state, peers)
        {
            return Ok(Step::Wait(pause));
        }
        // A producer that died here before us had not moved the head, or had finished.
        fault::step();
        let reserved = self.reserve_locked(owner, length);
        fault::step();
        self.unlock(owner)?;
        fault::step();
        reserved.map(Step::Ready)
    }

    #[inline]
    fn reserve_locked(&self, owner: Owner, length: u32) -> Result<Result<u32, NoRoom>, Damaged> {
        let size = record_size(length);
        let head = self.head().load(Ordering::Relaxed);
        let tail_seen = self.memory.word(TAIL_SEEN);
        let skip = match self.skip(head, tail_seen.load(Ordering::Relaxed), size)? {
            Some(skip) => skip,
            None => {
                let tail = self.tail().load(Ordering::Acquire);
                tail_seen.store(tail, Ordering::Relaxed);
                match self.skip(head, tail, size)? {
                    Some(skip) => skip,
                    None => return Ok(Err(NoRoom { tail })),
                }
            }
        };
        self.fill_up(head, skip);
        let position = head.wrapping_add(skip);
        self.owner(position).store(owner.get(), Ordering::Relaxed);
        self.header(position).store(length | BUSY, Ordering::Relaxed);
        fault::step();
        self.head().store(position.wrapping_add(size), Ordering::Release);
        Ok(Ok(position))
    }

    /// Whether one of many producers has reserved that room, and has not committed it.
    pub(crate) fn is_reserved(&self, producer: &Producer, position: u32, length: u32) -> bool {
        record_size(length) <= self.until_end(position)
            && self.header(position).load(Ordering::Relaxed) == length | BUSY
            && self.owner(position).load(Ordering::Relaxed) == producer.owner.get()
    }

    /// Commits the message at `position`.
    #[inline]
    pub(crate) fn commit(&self, producer: &mut Producer, position: u32, length: u32) {
        fault::step();
        if producer.is_only {
            self.publish(&mut producer.window, position, length);
        } else {
            self.commit_as_many(position, length);
        }
    }

    /// Gives the message at `position` up.
    pub(crate) fn give_up(&self, producer: &Producer, position: u32, length: u32) {
        // One producer alone has published nothing yet.
        if !producer.is_only {
            self.commit_as_many(position, length | SKIP);
        }
    }

    #[inline]
    fn publish(&self, window: &mut SendWindow, position: u32, length: u32) {
        self.header(position).store(length, Ordering::Relaxed);
        window.head = position.wrapping_add(record_size(length));
        window.room -= record_size(length);
        fault::step();
        self.head().swap(window.head, Ordering::SeqCst);
        fault::step();
        self.wake_consumer();
    }

    #[inline]
    fn commit_as_many(&self, position: u32, header: u32) {
        fault::step();
        self.header(position).swap(header, Ordering::SeqCst);
        fault::step();
        self.wake_consumer();
    }
}
