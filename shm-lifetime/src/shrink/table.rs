//! The mappings that can be cut off, in a table that a signal handler walks.
//!
//! Rows come in levels of 64, 128, 256 …, which are never freed. A mapping lies in one of eight rows a level that a
//! hash of its start points to, so that entering and leaving look at few, however many there are; only a handler walks
//! all. Threads enter and leave by compare-and-swap, so that a walk needs no lock and a fork finds none held.
//!
//! A handler must lay no page where the mapping has gone and another lies by now. So it pins the row, and only then
//! looks whether the row still has a mapping that holds the address; a thread that is about to unmap first makes the
//! row `LEAVING`, and then waits until nobody pins it. As both sides write first and look afterwards, sequentially
//! consistent, one of them sees the other: the handler finds `LEAVING` and lays nothing, or the unmapping waits for
//! the one system call of the handler. That call is all that a pin spans, so the wait is short, and a handler never
//! waits.
//!
//! The overlay of a detach needs no such care: it and the handler lay the same private zeros, in whichever order.
//! When two threads touch one page at once, the second page that is laid may take away what was written to the first:
//! no loss, as what was cut off keeps nothing.

use super::mark::Mark;
use crate::{fork, overlay::overlay};
use std::{
    num::NonZeroUsize,
    ptr::{self, NonNull},
    sync::{
        OnceLock,
        atomic::{
            AtomicPtr, AtomicU8, AtomicU32, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
        },
    },
    thread,
};

const FREE: u8 = 0;
const CLAIMED: u8 = 1;
const HELD: u8 = 2;
const LEAVING: u8 = 3;

const FIRST_LEVEL: usize = 64;
const WINDOW: usize = 8;

struct Row {
    state: AtomicU8,
    pins: AtomicU32,
    start: AtomicUsize,
    len: AtomicUsize,
    mark: Mark,
}

static FIRST: [Row; FIRST_LEVEL] = [const { Row::new() }; FIRST_LEVEL];

/// The further levels, each twice as long as the one before.
static LEVELS: [AtomicPtr<Row>; 24] = [const { AtomicPtr::new(ptr::null_mut()) }; 24];

const fn len_of(further: usize) -> usize {
    FIRST_LEVEL << (further + 1)
}

/// One of the further levels, where it has been made.
fn level(further: usize) -> Option<&'static [Row]> {
    let start = NonNull::new(LEVELS.get(further)?.load(Acquire))?;
    // SAFETY: a slice of that length which `make_level` leaked.
    Some(unsafe { NonNull::slice_from_raw_parts(start, len_of(further)).as_ref() })
}

/// The same, made now where it is missing; `None` if there can be no more.
fn make_level(further: usize) -> Option<&'static [Row]> {
    let place = LEVELS.get(further)?;
    if place.load(Acquire).is_null() {
        let new: Box<[Row]> = (0..len_of(further)).map(|_| Row::new()).collect();
        let new = Box::into_raw(new);
        if place.compare_exchange(ptr::null_mut(), new.cast(), AcqRel, Acquire).is_err() {
            // SAFETY: made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
    level(further)
}

fn levels() -> impl Iterator<Item = &'static [Row]> {
    std::iter::once(&FIRST[..]).chain((0..).map_while(level))
}

/// The rows of a level in which a mapping that starts there may lie.
fn window(level: &'static [Row], start: usize) -> impl Iterator<Item = &'static Row> {
    // Fibonacci hashing. Starts are multiples of a page; 2^12 is the smallest.
    let hash = ((start as u64) >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (0..WINDOW).map(move |next| &level[(hash as usize + next) & (level.len() - 1)])
}

impl Row {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            pins: AtomicU32::new(0),
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            mark: Mark::new(),
        }
    }

    fn has(&self, address: usize) -> bool {
        let start = self.start.load(Relaxed);
        start <= address && address - start < self.len.load(Relaxed)
    }

    fn is_held(&self) -> bool {
        self.state.load(SeqCst) == HELD
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    levels().flatten()
}

/// Puts a mapping into the table. Where no further level can be made it stays outside, and is not survived.
pub(super) fn enter(start: NonZeroUsize, len: NonZeroUsize) {
    static WATCHED: OnceLock<bool> = OnceLock::new();
    // SAFETY: `begin_anew` works on atomics.
    WATCHED.get_or_init(|| unsafe { fork::in_child(begin_anew) });
    let claim = |row: &&Row| {
        row.state.load(Relaxed) == FREE && row.state.compare_exchange(FREE, CLAIMED, AcqRel, Relaxed).is_ok()
    };
    let grown = (0..LEVELS.len()).map_while(make_level);
    let mut levels = std::iter::once(&FIRST[..]).chain(grown);
    let Some(row) = levels.find_map(|level| window(level, start.get()).find(claim)) else { return };
    row.start.store(start.get(), Relaxed);
    row.len.store(len.get(), Relaxed);
    row.mark.reset();
    row.state.store(HELD, SeqCst);
}

/// The row of the mapping that starts there.
fn row_of(start: usize) -> Option<&'static Row> {
    let is_it = |row: &&Row| row.start.load(Relaxed) == start && row.is_held();
    levels().find_map(|level| window(level, start).find(is_it))
}

/// Takes a mapping out of the table, before it is unmapped; returns when no handler is at it any more. Nothing happens
/// where it is not in the table.
pub(crate) fn leave(start: NonZeroUsize) {
    let Some(row) = row_of(start.get()) else { return };
    row.state.store(LEAVING, SeqCst);
    while row.pins.load(SeqCst) != 0 {
        thread::yield_now();
    }
    row.start.store(0, Relaxed);
    row.state.store(FREE, Release);
}

/// In a fork's child: the handlers that had pinned something run in the parent.
extern "C" fn begin_anew() {
    for row in rows() {
        row.pins.store(0, SeqCst);
    }
}

impl Mark {
    /// The mark of the mapping that an address lies in, for as long as it is mapped; one that is never set where it
    /// lies in none that can be cut off.
    pub fn of(address: NonNull<u8>) -> &'static Self {
        static NO_MARK: Mark = Mark::new();
        mark_of(address.addr().get()).unwrap_or(&NO_MARK)
    }
}

fn mark_of(address: usize) -> Option<&'static Mark> {
    let inside = || rows().find(|row| row.is_held() && row.has(address));
    row_of(address).or_else(inside).map(|row| &row.mark)
}

/// For the handler: marks the mapping that holds `address`, and lays zeros there; false where there is none, or no
/// page can be laid.
pub(super) fn survive_at(address: usize, page: NonZeroUsize) -> bool {
    for row in rows().filter(|row| row.has(address)) {
        row.pins.fetch_add(1, SeqCst);
        let is_ours = row.is_held() && row.has(address);
        let is_covered = is_ours && {
            row.mark.set();
            let (start, len) = (row.start.load(Relaxed), row.len.load(Relaxed));
            // SAFETY: entered with the promises of `enter`; it stays mapped, as the row was held after it was pinned.
            NonZeroUsize::new(start)
                .zip(NonZeroUsize::new(len))
                .is_some_and(|(start, len)| unsafe { cover(address, start, len, page) })
        };
        row.pins.fetch_sub(1, SeqCst);
        if is_ours {
            return is_covered;
        }
    }
    false
}

/// Lays a private zero page over the one that holds `address`; over the whole mapping where this process can make no
/// more mappings, as each page that is laid may be one. Safe in a signal handler.
///
/// # Safety
///
/// `address` lies in the mapping, which is one of those that were given to [`enter`], and is not unmapped meanwhile.
unsafe fn cover(address: usize, start: NonZeroUsize, len: NonZeroUsize, page: NonZeroUsize) -> bool {
    let at = NonZeroUsize::new(address & !(page.get() - 1)).unwrap_or(start);
    // SAFETY: a page of the mapping, by the caller's promise.
    let one = unsafe { overlay(at, page) };
    // SAFETY: the mapping, by the caller's promise.
    one.is_ok() || unsafe { overlay(start, len) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: usize) -> (NonZeroUsize, NonZeroUsize) {
        let len = NonZeroUsize::new(count * 4096).unwrap();
        let flags = nix::sys::mman::MapFlags::MAP_PRIVATE;
        let all = nix::sys::mman::ProtFlags::PROT_READ | nix::sys::mman::ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping.
        let start = unsafe { nix::sys::mman::mmap_anonymous(None, len, all, flags) }.unwrap();
        (start.addr(), len)
    }

    fn unmap(start: NonZeroUsize, len: NonZeroUsize) {
        let start = NonNull::new(ptr::with_exposed_provenance_mut(start.get())).unwrap();
        // SAFETY: mapped by `pages`.
        unsafe { nix::sys::mman::munmap(start, len.get()) }.unwrap();
    }

    const PAGE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

    #[test]
    fn only_mappings_in_the_table_are_covered_and_marked() {
        let (start, len) = pages(4);
        let at: NonNull<u8> = NonNull::new(ptr::with_exposed_provenance_mut(start.get())).unwrap();
        let place = |byte: usize| {
            let place = ptr::with_exposed_provenance::<AtomicU8>(start.get() + byte);
            // SAFETY: inside the mapping, which stays to the end of the test.
            unsafe { &*place }
        };
        assert!(!survive_at(start.get(), PAGE), "not entered yet");
        enter(start, len);
        assert!(!Mark::of(at).is_set());
        for byte in [0, 4096, 8192] {
            place(byte).store(7, Relaxed);
        }
        let before = super::super::mark::shrinks().load(SeqCst);
        assert!(survive_at(start.get() + 4100, PAGE) && survive_at(start.get() + 4100, PAGE));
        assert!(Mark::of(at).is_set() && super::super::mark::shrinks().load(SeqCst) > before);
        let read = |byte| place(byte).load(Relaxed);
        assert_eq!([read(0), read(4096), read(8192)], [7, 0, 7], "one page, and no other");
        assert!(!survive_at(start.get() + len.get(), PAGE) && !survive_at(start.get() - 1, PAGE));
        leave(start);
        assert!(!survive_at(start.get(), PAGE) && !Mark::of(at).is_set());
        unmap(start, len);
    }

    #[test]
    fn many_mappings_find_room_and_each_is_found_again() {
        // Nothing is mapped there, and nothing is touched.
        const BASE: usize = 1 << 60;
        let starts = || (0..10_000).map(|number| NonZeroUsize::new(BASE + number * 4096).unwrap());
        let half = |start: &NonZeroUsize| (start.get() / 4096).is_multiple_of(2);
        let is_known = |start: NonZeroUsize| mark_of(start.get() + 1).is_some();
        starts().for_each(|start| enter(start, PAGE));
        let made = rows().count();
        assert!(starts().step_by(100).all(is_known));
        starts().filter(half).for_each(leave);
        assert!(starts().step_by(101).all(|start| is_known(start) != half(&start)));
        starts().filter(half).for_each(|start| enter(start, PAGE));
        assert_eq!(rows().count(), made, "rows are used again");
        assert!(made < 8 * 10_000);
        starts().for_each(leave);
        assert!(!starts().step_by(100).any(is_known));
    }

    #[test]
    fn a_mapping_leaves_only_when_no_handler_uses_it() {
        let (start, len) = pages(1);
        enter(start, len);
        let row = rows().find(|row| row.is_held() && row.has(start.get())).unwrap();
        row.pins.fetch_add(1, SeqCst);
        thread::scope(|scope| {
            let leaving = scope.spawn(|| leave(start));
            while row.state.load(SeqCst) != LEAVING {
                thread::yield_now();
            }
            let seen = (survive_at(start.get(), PAGE), leaving.is_finished());
            row.pins.fetch_sub(1, SeqCst);
            assert_eq!(seen, (false, false), "nothing is laid any more, and it waits");
        });
        assert_ne!(row.start.load(SeqCst), start.get());
        unmap(start, len);
    }

    #[test]
    fn threads_that_enter_and_leave_at_once_find_their_own() {
        thread::scope(|scope| {
            for thread in 1..=4usize {
                scope.spawn(move || {
                    for round in 1..200usize {
                        let starts = (0..40)
                            .map(|n| NonZeroUsize::new((thread << 40) + (round << 20) + (n << 12)).unwrap());
                        let starts: Vec<_> = starts.collect();
                        starts.iter().for_each(|start| enter(*start, PAGE));
                        assert!(starts.iter().all(|start| mark_of(start.get() + 4095).is_some()));
                        starts.iter().for_each(|start| leave(*start));
                        assert!(starts.iter().all(|start| mark_of(start.get()).is_none()));
                    }
                });
            }
        });
    }
}
