//! All attachments of the process, in a form that a signal handler can walk.
//!
//! A segment sits in a row. The thread that changes the row from `HELD` to `TAKEN` by compare-and-swap owns it from
//! then on: the thread that detaches it, or the handler that ends the process. Rows live in blocks that are never
//! freed, so a walk needs no lock; their number is bounded by the most that was ever held at once.

use crate::backends::{AnySegment, BackendId};
use shm_api::{Detached, Key};
use std::{
    ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU8,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
};

const FREE: u8 = 0;
const HELD: u8 = 1;
const TAKEN: u8 = 2;

const BLOCK: usize = 64;

struct Row {
    state: AtomicU8,
    /// Whether the line at the end of the process counts it.
    counted: AtomicBool,
    segment: AtomicPtr<AnySegment>,
}

impl Row {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            counted: AtomicBool::new(false),
            segment: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

struct Block {
    rows: [Row; BLOCK],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Self {
        Self { rows: [const { Row::new() }; BLOCK], next: AtomicPtr::new(ptr::null_mut()) }
    }
}

static FIRST: Block = Block::new();

/// The rows that may be free, for threads; the handler does not need it.
static SPARE: Mutex<Option<Vec<&'static Row>>> = Mutex::new(None);

fn spare() -> MutexGuard<'static, Option<Vec<&'static Row>>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| {
        // SAFETY: null, or a block that `hold` leaked.
        unsafe { block.next.load(Acquire).as_ref() }
    })
}

fn unused_row() -> &'static Row {
    let mut spare = spare();
    let spare = spare.get_or_insert_with(|| FIRST.rows.iter().rev().collect());
    if let Some(row) = spare.pop() {
        return row;
    }
    let block: &'static Block = Box::leak(Box::new(Block::new()));
    let last = blocks().last().expect("there is a first block");
    last.next.store(ptr::from_ref(block).cast_mut(), Release);
    spare.extend(block.rows[1..].iter().rev());
    &block.rows[0]
}

/// The right to one row of the table.
#[derive(Debug)]
pub(crate) struct Held(&'static Row);

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Puts a segment into the table; `counted`: the line at the end of the process counts it.
pub(crate) fn hold(segment: AnySegment, counted: bool) -> Held {
    let row = unused_row();
    row.counted.store(counted, Relaxed);
    row.segment.store(Box::into_raw(Box::new(segment)), Relaxed);
    row.state.store(HELD, Release);
    Held(row)
}

impl Held {
    /// The segment. A handler may be leaving it, but frees nothing.
    pub(crate) fn segment(&self) -> &AnySegment {
        // SAFETY: `hold` made it, and only `take` frees it, which needs this `Held` by value.
        unsafe { &*self.0.segment.load(Relaxed) }
    }

    /// Whether the line at the end of the process counts it.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.counted.load(Relaxed)
    }

    /// Takes the segment out; `None` if a handler that ends the process is at it.
    pub(crate) fn take(self) -> Option<AnySegment> {
        self.0.state.compare_exchange(HELD, TAKEN, AcqRel, Relaxed).ok()?;
        let segment = self.0.segment.swap(ptr::null_mut(), Relaxed);
        self.0.state.store(FREE, Release);
        if let Some(spare) = spare().as_mut() {
            spare.push(self.0);
        }
        // SAFETY: `hold` made it, and the swap gave it to us alone.
        Some(*unsafe { Box::from_raw(segment) })
    }
}

/// How many attachments of the process satisfy a condition.
pub(crate) fn count(condition: impl Fn(&AnySegment) -> bool) -> usize {
    // Nobody can free a segment while we look: `take` gives its row back under this lock, and frees after.
    let _spare = spare();
    let held = blocks().flat_map(|block| &block.rows).filter(|row| row.state.load(Acquire) == HELD);
    held.filter(|row| {
        // SAFETY: see above.
        unsafe { row.segment.load(Relaxed).as_ref() }.is_some_and(&condition)
    })
    .count()
}

/// What the process's attachments are called.
pub(crate) fn names() -> Vec<(BackendId, Key)> {
    // As above.
    let _spare = spare();
    let held = blocks().flat_map(|block| &block.rows).filter(|row| row.state.load(Acquire) == HELD);
    // SAFETY: as above.
    let segments = held.filter_map(|row| unsafe { row.segment.load(Relaxed).as_ref() });
    segments.map(|segment| (segment.backend(), segment.key().clone())).collect()
}

/// Leaves every segment that is still held, with system calls only.
///
/// # Safety
///
/// The process is about to end: these segments are never touched again.
#[cfg(unix)] // Windows frees them itself
pub(crate) unsafe fn leave_all(deadline: std::time::Instant) {
    // SAFETY: by the caller's promise.
    take_all(|segment| unsafe { segment.leave_in_signal(deadline) });
}

/// Leaves every segment that is still held, and waits for other processes to leave first, as long as `others_leave`
/// says that one is about to. Not for signal handlers. Returns how many counted segments it destroyed.
///
/// # Safety
///
/// The process is about to end: these segments are never touched again.
pub(crate) unsafe fn leave_all_at_exit(others_leave: &dyn Fn() -> bool) -> usize {
    // SAFETY: by the caller's promise.
    take_all(|segment| unsafe { segment.leave_at_exit(others_leave) })
}

/// Takes all segments for good: they stay where they are, as other threads may still look at them.
fn take_all(leave: impl Fn(&AnySegment) -> Detached) -> usize {
    let mut destroyed = 0;
    for row in blocks().flat_map(|block| &block.rows) {
        if row.state.compare_exchange(HELD, TAKEN, AcqRel, Relaxed).is_ok() {
            let segment = row.segment.load(Relaxed);
            // SAFETY: the exchange gave it to us alone, and it was not null while HELD. It stays TAKEN, so that nobody
            // uses or drops it again.
            let segment = unsafe { &*segment };
            let was_destroyed = leave(segment) == Detached::Destroyed;
            destroyed += usize::from(was_destroyed && row.counted.load(Relaxed));
        }
    }
    destroyed
}
