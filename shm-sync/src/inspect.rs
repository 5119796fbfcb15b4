//! The structures in a segment, for programs that show them. A copy of some words is enough.
//!
//! Nothing is opened or written, and no other process is involved. The words may change while they are copied, and may
//! have any value. Words that contradict each other are not recognised as a structure, or are shown as they are.

use crate::protocol::{
    broadcast::head_of,
    layout::{
        LIVE, MAGIC, STRUCTURES, Structure, barrier, broadcast, channel, condition, event_count, mutex, once,
        owner_word, rw_lock, semaphore,
    },
    owner::Owner,
};

/// Copies bytes from an offset on, and returns how many: fewer if the segment ends earlier.
pub type Source<'s> = dyn FnMut(usize, &mut [u8]) -> usize + 's;

/// A structure, as its words were when they were copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name of the structure.
    pub name: &'static str,
    /// Where it begins.
    pub offset: usize,
    /// How many bytes it takes.
    pub size: usize,
    /// The id of the live file through which its users find each other.
    pub live: u32,
    /// What its words say.
    pub state: State,
}

/// What the words of a structure say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// A mutex.
    Mutex(Held),
    /// A condition.
    Condition {
        /// How often it was notified, modulo 2^32.
        notified: u32,
        /// How many wait; too high if a waiter was killed.
        waiters: u32,
    },
    /// A once-flag.
    Once {
        /// The work has been done.
        is_done: bool,
        /// The owner that does the work.
        turn: Held,
    },
    /// A semaphore.
    Semaphore {
        /// How many permits there are.
        permits: u32,
        /// The owners of permits.
        owners: Vec<Owner>,
        /// Somebody may wait for a permit.
        has_waiters: bool,
    },
    /// A read-write lock.
    RwLock {
        /// How many may read at a time.
        readers: u32,
        /// The owner that writes, or is about to.
        writer: Held,
        /// The owners that read.
        owners: Vec<Owner>,
        /// A reader may wait for a slot.
        has_waiters: bool,
    },
    /// A barrier.
    Barrier {
        /// How many parties the barrier is for.
        parties: u32,
        /// The owners that have joined.
        owners: Vec<Owner>,
        /// How many have arrived.
        arrived: u32,
        /// The phase that they arrived in, modulo 2^15.
        phase: u32,
        /// The phase before was broken.
        was_broken: bool,
    },
    /// A channel.
    Channel {
        /// The size of its ring in bytes.
        capacity: u32,
        /// There may be many producers.
        has_many_producers: bool,
        /// How many bytes were sent, with headers, modulo 2^32.
        sent: u32,
        /// How many bytes are in the ring, with headers; `None` if its positions are impossible.
        used: Option<u32>,
        /// The producer. If there may be many: the one that reserves room for its message.
        producer: Held,
        /// The consumer.
        consumer: Held,
        /// The consumer may sleep.
        consumer_waits: bool,
        /// A producer may sleep.
        producers_wait: bool,
    },
    /// A broadcast.
    Broadcast {
        /// How many messages it keeps.
        slots: u32,
        /// The longest message in bytes.
        max_message: u32,
        /// How many were sent; `None` at the moment when the upper half changes.
        sent: Option<u64>,
        /// The producer.
        producer: Held,
        /// A reader may sleep.
        readers_wait: bool,
    },
}

/// What an owner word says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The owner, if there is one.
    pub owner: Option<Owner>,
    /// Somebody may wait for it.
    pub has_waiters: bool,
    /// The last owner died or panicked, and nobody has been told.
    pub owner_died: bool,
}

impl Held {
    /// What a word says.
    pub const fn of_word(word: u32) -> Self {
        let owner = Owner::from_word(word);
        Self {
            owner: if owner.is_nobody() { None } else { Some(owner) },
            has_waiters: word & owner_word::WAITERS != 0,
            owner_died: word & owner_word::DIED != 0,
        }
    }
}

/// Returns the structure that begins at `offset` of a segment of `size` bytes; `None` if none is recognised.
pub fn describe(source: &mut Source<'_>, size: usize, offset: usize) -> Option<Found> {
    let mut header = [0; channel::DATA as usize];
    let count = source(offset, &mut header).min(header.len());
    let header = Words(&header[..count]);
    let structure = structure_of(header.word(MAGIC)?)?;
    let live = header.word(LIVE).filter(|live| *live != 0 && offset.is_multiple_of(structure.align))?;
    let room = size.checked_sub(offset)?;
    let (length, state) = state_of(structure, header, &mut |from, count| {
        let (from, length) = (from as usize, count as usize * size_of::<u32>());
        if length > room.checked_sub(from)? {
            return None;
        }
        let mut slots = vec![0; length];
        let count = source(offset + from, &mut slots).min(length);
        Some(Words(&slots[..count]).all().map(Owner::from_word).filter(|owner| !owner.is_nobody()).collect())
    })?;
    let length = usize::try_from(length).ok().filter(|length| *length <= room)?;
    Some(Found { name: structure.name, offset, size: length, live, state })
}

/// Returns the structures that begin in the first `within` bytes of a segment of `size` bytes, in the order of their
/// offsets. It does not search inside a structure, because a message may look like anything. It checks at most `most`
/// words that look like a magic.
pub fn find(source: &mut Source<'_>, size: usize, within: usize, most: usize) -> Vec<Found> {
    let (mut found, mut offset, mut left, end) = (Vec::new(), 0, most, within.min(size));
    let mut chunk = vec![0; CHUNK];
    while offset < end {
        let room = CHUNK.min(end - offset);
        let count = source(offset, &mut chunk[..room]).min(room);
        let places = (offset..).step_by(size_of::<u32>()).zip(Words(&chunk[..count]).all());
        let next = places.filter(|(_, word)| structure_of(*word).is_some()).take(left).find_map(|(at, _)| {
            left -= 1;
            describe(source, size, at)
        });
        if count < room || left == 0 && next.is_none() {
            break;
        }
        offset = next.as_ref().map_or(offset + CHUNK, |one| one.offset + one.size);
        found.extend(next);
    }
    found
}

/// How many bytes are searched at a time.
const CHUNK: usize = 64 << 10;

fn structure_of(magic: u32) -> Option<Structure> {
    STRUCTURES.into_iter().find(|structure| structure.magic() == magic)
}

/// Bytes as words.
#[derive(Clone, Copy)]
struct Words<'b>(&'b [u8]);

impl Words<'_> {
    fn word(self, offset: u32) -> Option<u32> {
        let bytes = self.0.get(offset as usize..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    fn held(self, offset: u32) -> Option<Held> {
        self.word(offset).map(Held::of_word)
    }

    /// Whether somebody may sleep on the word.
    fn sleeps(self, offset: u32) -> Option<bool> {
        self.word(offset).map(|word| word & event_count::SLEEPERS != 0)
    }

    /// An option, if it is one of these.
    fn option(self, offset: u32, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        self.word(offset).filter(|option| range.contains(option))
    }

    fn all(self) -> impl Iterator<Item = u32> {
        self.0.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// Returns how many bytes a structure takes, and what its words say. `owners` reads a number of slots from an offset
/// on.
fn state_of(
    structure: Structure,
    header: Words<'_>,
    owners: &mut dyn FnMut(u32, u32) -> Option<Vec<Owner>>,
) -> Option<(u64, State)> {
    let slots = |start: u32, count: u32| u64::from(start) + u64::from(count) * size_of::<u32>() as u64;
    Some(match structure {
        mutex::STRUCTURE => (mutex::SIZE.into(), State::Mutex(header.held(mutex::WORD)?)),
        condition::STRUCTURE => {
            let (notified, waiters) = (header.word(condition::SEQUENCE)?, header.word(condition::WAITERS)?);
            (condition::SIZE.into(), State::Condition { notified, waiters })
        }
        once::STRUCTURE => {
            let word = header.word(once::STATE)?;
            let is_done = word == once::DONE;
            let turn = if is_done { Held::default() } else { Held::of_word(word) };
            (once::SIZE.into(), State::Once { is_done, turn })
        }
        semaphore::STRUCTURE => {
            let permits = header.option(semaphore::PERMITS, 1..=semaphore::MOST)?;
            let has_waiters = header.sleeps(semaphore::QUEUE)?;
            let state = State::Semaphore { permits, owners: owners(semaphore::SLOTS, permits)?, has_waiters };
            (slots(semaphore::SLOTS, permits), state)
        }
        rw_lock::STRUCTURE => {
            let readers = header.option(rw_lock::READERS, 1..=rw_lock::MOST)?;
            let (writer, has_waiters) = (header.held(rw_lock::WRITER)?, header.sleeps(rw_lock::QUEUE)?);
            let owners = owners(rw_lock::SLOTS, readers)?;
            (slots(rw_lock::SLOTS, readers), State::RwLock { readers, writer, owners, has_waiters })
        }
        barrier::STRUCTURE => {
            let parties = header.option(barrier::PARTIES, 1..=barrier::MOST)?;
            let word = header.word(barrier::STATE)?;
            let state = State::Barrier {
                parties,
                owners: owners(barrier::SLOTS, parties)?,
                arrived: word & barrier::ARRIVED,
                phase: word / barrier::PHASE,
                was_broken: word & barrier::BROKEN != 0,
            };
            (slots(barrier::SLOTS, parties), state)
        }
        channel::STRUCTURE => {
            let range = channel::CAPACITY_MIN..=channel::CAPACITY_MAX;
            let capacity = header.option(channel::CAPACITY, range).filter(|size| size.is_power_of_two())?;
            let producers = header.option(channel::PRODUCERS, channel::ONE..=channel::MANY)?;
            let has_many_producers = producers == channel::MANY;
            let (sent, tail) = (header.word(channel::HEAD)?, header.word(channel::TAIL)?);
            let used = sent.wrapping_sub(tail);
            let state = State::Channel {
                capacity,
                has_many_producers,
                sent,
                used: (used <= capacity && (sent | tail).is_multiple_of(8)).then_some(used),
                producer: header.held(if has_many_producers { channel::LOCK } else { channel::PRODUCER })?,
                consumer: header.held(channel::CONSUMER)?,
                consumer_waits: header.sleeps(channel::CONSUMER_EVENT)?,
                producers_wait: header.sleeps(channel::PRODUCERS_EVENT)?,
            };
            (u64::from(channel::DATA) + u64::from(capacity), state)
        }
        broadcast::STRUCTURE => {
            let slots = header.option(broadcast::SLOTS, broadcast::SLOTS_MIN..=u32::MAX)?;
            let max_message = header.option(broadcast::MAX_MESSAGE, 1..=u32::MAX)?;
            let room = u64::from(slots).checked_mul(broadcast::stride(max_message))?;
            if !slots.is_power_of_two() || room > broadcast::SIZE_MAX {
                return None;
            }
            let [high, low, again] = [broadcast::HEAD_HIGH, broadcast::HEAD_LOW, broadcast::HEAD_HIGH_AGAIN];
            let state = State::Broadcast {
                slots,
                max_message,
                sent: head_of(header.word(high)?, header.word(low)?, header.word(again)?),
                producer: header.held(broadcast::PRODUCER)?,
                readers_wait: header.sleeps(broadcast::READERS_EVENT)?,
            };
            (u64::from(broadcast::DATA) + room, state)
        }
        _ => return None,
    })
}
