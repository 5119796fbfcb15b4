//! Where every word is and what its bits mean, once: all that stands in shared memory, and in the live file.
//!
//! `docs/layout.md` says the same for other languages, and a test compares the two (`tests/layout.rs`). Offsets are in
//! bytes, from the structure's first one. What is here never changes for version 1.

/// The version of the layout, the last byte of the magic.
pub const VERSION: u8 = 1;

/// Structure and version. Set last.
pub const MAGIC: u32 = 0;
/// The id of the live file that the structure's users find each other through. Set first.
pub const LIVE: u32 = 4;

/// What a structure is, and where it may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Its name in messages.
    pub name: &'static str,
    /// Its letter in the magic.
    pub letter: u8,
    /// Of which number its place is a multiple, in bytes.
    pub align: usize,
}

impl Structure {
    const fn new(name: &'static str, letter: u8, align: usize) -> Self {
        Self { name, letter, align }
    }

    /// The word at [`MAGIC`]; in memory the bytes `s`, `y`, the letter, the version.
    pub const fn magic(self) -> u32 {
        u32::from_le_bytes([b's', b'y', self.letter, VERSION])
    }
}

/// All of them.
pub const STRUCTURES: [Structure; 8] = [
    mutex::STRUCTURE,
    condition::STRUCTURE,
    once::STRUCTURE,
    semaphore::STRUCTURE,
    rw_lock::STRUCTURE,
    barrier::STRUCTURE,
    channel::STRUCTURE,
    broadcast::STRUCTURE,
];

/// A word that one owner holds at a time.
///
/// | `WAITERS` | `DIED` | `ID` | |
/// |---|---|---|---|
/// | 0 | 0 | 0 | free |
/// | 0 | 0 | id | held |
/// | 1 | 0 | id | held, and somebody may sleep on the word: who lets go wakes |
/// | any | 1 | 0 | free; the last owner died or panicked, and nobody has been told (a mutex, or the writer word) |
/// | 1 | 0 | 0 | does not stay: who lets go writes 0, or `DIED` |
pub mod owner_word {
    /// The owner's id; 0 is nobody.
    pub const ID: u32 = (1 << 30) - 1;
    /// The last owner died or panicked while holding it, and nobody has been told yet.
    pub const DIED: u32 = 1 << 30;
    /// Others may sleep on the word.
    pub const WAITERS: u32 = 1 << 31;
}

/// A word on which waiters sleep until an event happens elsewhere: an event count, or the queue of waiters that find
/// no slot.
///
/// | `SLEEPERS` | rest | |
/// |---|---|---|
/// | 0 | n | nobody sleeps; sleepers were woken n times |
/// | 1 | n | somebody sleeps or is about to, while the word has this value; the event sets 0, n + 1, and wakes all |
pub mod event_count {
    /// Somebody may sleep on the word.
    pub const SLEEPERS: u32 = 1;
    /// One wake-up.
    pub const WAKE_UP: u32 = 2;
}

/// A mutex.
pub mod mutex {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("mutex", b'M', 4);
    /// An [owner word](super::owner_word).
    pub const WORD: u32 = 8;
    /// How many bytes it takes.
    pub const SIZE: u32 = 16;
}

/// A condition.
pub mod condition {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("condition", b'V', 4);
    /// How many notifications there were, modulo 2^32. Those who wait sleep here.
    pub const SEQUENCE: u32 = 8;
    /// How many wait; too high where a waiter was killed.
    pub const WAITERS: u32 = 12;
    /// How many bytes it takes.
    pub const SIZE: u32 = 16;
}

/// A once-flag.
///
/// | state | |
/// |---|---|
/// | 0 | not done, nobody is at it |
/// | an [owner word](owner_word) without `DIED` | being done |
/// | `DONE` | done, for ever |
pub mod once {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("once", b'O', 4);
    /// How far it is.
    pub const STATE: u32 = 8;
    /// The state when it has been done.
    pub const DONE: u32 = 1 << 30;
    /// How many bytes it takes.
    pub const SIZE: u32 = 16;
}

/// A semaphore.
pub mod semaphore {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("semaphore", b'S', 4);
    /// How many permits there are.
    pub const PERMITS: u32 = 8;
    /// The [queue](super::event_count) of waiters that find no permit. It counts releases.
    pub const QUEUE: u32 = 16;
    /// The [owner words](super::owner_word) of the permits.
    pub const SLOTS: u32 = 32;
    /// The most permits.
    pub const MOST: u32 = 1 << 16;
}

/// A read-write lock.
pub mod rw_lock {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("read-write lock", b'R', 4);
    /// How many may read at a time.
    pub const READERS: u32 = 8;
    /// The writer's [owner word](super::owner_word).
    pub const WRITER: u32 = 16;
    /// The [queue](super::event_count) of readers who find no slot.
    pub const QUEUE: u32 = 20;
    /// The [owner words](super::owner_word) of the readers.
    pub const SLOTS: u32 = 32;
    /// The most readers.
    pub const MOST: u32 = 1 << 16;
}

/// A barrier.
///
/// | phase | `BROKEN` | `ARRIVED` | |
/// |---|---|---|---|
/// | p | any | n | n parties have arrived in phase p |
/// | p + 1 | 0 | 0 | phase p ended: the last party arrived |
/// | p + 1 | 1 | n | phase p was broken: those who waited in it have an error |
pub mod barrier {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("barrier", b'B', 4);
    /// How many parties there are.
    pub const PARTIES: u32 = 8;
    /// The phase, whether the one before was broken, and how many have arrived. Those who wait sleep here.
    pub const STATE: u32 = 16;
    /// Not used: nobody waits for a slot.
    pub const QUEUE: u32 = 20;
    /// The [owner words](super::owner_word) of the parties.
    pub const SLOTS: u32 = 32;
    /// The most parties.
    pub const MOST: u32 = (1 << 16) - 1;

    /// In the state: how many have arrived.
    pub const ARRIVED: u32 = (1 << 16) - 1;
    /// In the state: the phase before was broken.
    pub const BROKEN: u32 = 1 << 16;
    /// In the state: one phase.
    pub const PHASE: u32 = 1 << 17;
}

/// A channel.
///
/// The header of a record:
///
/// | `BUSY` | `SKIP` | `LENGTH` | |
/// |---|---|---|---|
/// | 0 | 0 | n | a message of n bytes |
/// | 1 | 0 | n | room for a message of n bytes, whose producer (the word at `OWNER`) is at it |
/// | 0 | 1 | n | nothing: a reservation that was given up, or the rest before the ring's end |
pub mod channel {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("channel", b'C', 64);

    // Set once.
    /// The ring's size in bytes.
    pub const CAPACITY: u32 = 8;
    /// [`ONE`] producer, or [`MANY`].
    pub const PRODUCERS: u32 = 12;

    // Written by producers.
    /// Where the next record goes.
    pub const HEAD: u32 = 128;
    /// The tail as last seen by producers (many only; under the lock).
    pub const TAIL_SEEN: u32 = 132;
    /// The producers' mutex, an [owner word](super::owner_word) (many only).
    pub const LOCK: u32 = 136;
    /// The producer's [owner word](super::owner_word) (one only).
    pub const PRODUCER: u32 = 140;

    // Written by the consumer.
    /// Where the next record is read.
    pub const TAIL: u32 = 256;
    /// The consumer's [owner word](super::owner_word).
    pub const CONSUMER: u32 = 260;

    // Written by waiters that go to sleep.
    /// The [event count](super::event_count) on which the consumer sleeps.
    pub const CONSUMER_EVENT: u32 = 384;
    /// The [event count](super::event_count) on which producers sleep.
    pub const PRODUCERS_EVENT: u32 = 448;

    /// The ring.
    pub const DATA: u32 = 512;

    /// In a record: its owner's id (many producers only). Its header stands at 0.
    pub const OWNER: u32 = 4;
    /// In a record: the message.
    pub const RECORD: u32 = 8;
    /// In a record's header: its producer is still at it.
    pub const BUSY: u32 = 1 << 31;
    /// In a record's header: there is no message in it.
    pub const SKIP: u32 = 1 << 30;
    /// In a record's header: the message's length.
    pub const LENGTH: u32 = SKIP - 1;

    /// One producer.
    pub const ONE: u32 = 1;
    /// Many producers.
    pub const MANY: u32 = 2;
    /// The smallest ring.
    pub const CAPACITY_MIN: u32 = 64;
    /// The largest ring.
    pub const CAPACITY_MAX: u32 = 1 << 30;

    /// How much of the ring a message of this length takes, its record's header included.
    #[inline]
    pub const fn record_size(length: u32) -> u32 {
        RECORD + length.next_multiple_of(8)
    }
}

/// A broadcast.
pub mod broadcast {
    use super::Structure;

    /// What it is.
    pub const STRUCTURE: Structure = Structure::new("broadcast", b'P', 64);

    // Set once.
    /// How many slots there are.
    pub const SLOTS: u32 = 8;
    /// The longest message.
    pub const MAX_MESSAGE: u32 = 12;

    // Written by the producer.
    /// How many messages there have been: the upper half.
    pub const HEAD_HIGH: u32 = 128;
    /// The lower half.
    pub const HEAD_LOW: u32 = 132;
    /// The upper half again.
    pub const HEAD_HIGH_AGAIN: u32 = 136;
    /// The producer's [owner word](super::owner_word).
    pub const PRODUCER: u32 = 140;

    // Written by readers that go to sleep.
    /// The [event count](super::event_count) on which readers sleep.
    pub const READERS_EVENT: u32 = 256;

    /// The slots.
    pub const DATA: u32 = 512;

    /// In a slot: the message's length. Its stamp, which tells which message it holds, stands at 0.
    pub const LENGTH: u32 = 4;
    /// In a slot: the message.
    pub const MESSAGE: u32 = 8;

    /// The fewest slots.
    pub const SLOTS_MIN: u32 = 2;
    /// The most bytes of all slots.
    pub const SIZE_MAX: u64 = 1 << 31;

    /// From one slot to the next.
    pub const fn stride(max_message: u32) -> u64 {
        (MESSAGE as u64 + max_message as u64).next_multiple_of(64)
    }
}

/// The live file.
pub mod live_file {
    /// The bytes at 0: `s`, `y`, `L`, the version.
    pub const MAGIC: [u8; 4] = [b's', b'y', b'L', super::VERSION];
    /// The file's id.
    pub const ID: usize = 4;
    /// The next owner id.
    pub const NEXT: usize = 8;
    /// [`IS_DIGEST`], where the id is the digest of the file's identity.
    pub const MARK: usize = 12;
    /// The bytes `s`, `e`, `l`, `f`.
    pub const IS_DIGEST: u32 = u32::from_le_bytes(*b"self");
    /// How long the header is; earlier versions had no mark.
    pub const SIZE: usize = 16;
    /// The byte whose lock guards the header: far beyond every owner's byte.
    pub const GUARD: i64 = 1 << 40;
}
