//! The ids that this process drew: lists that only grow, so that they need no lock in a fork's child.

use crate::{Owner, SyncError};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The most ids that are drawn at a time.
const MOST: u32 = 1024;
const WORD: u32 = u32::BITS;

/// The ids of this process under one live file.
#[derive(Debug, Default)]
pub(super) struct Ids {
    drawing: AtomicU32,
    // Ids not handed out yet: `first << 32 | end`.
    spare: AtomicU64,
    blocks: List,
}

impl Ids {
    /// An id that was never handed out. `more` draws a block of them; blocks grow, so that a process with
    /// thousands of threads has few, and one with a single thread takes a single id.
    pub(super) fn draw(&self, more: impl FnOnce(u32) -> Result<u32, SyncError>) -> Result<Owner, SyncError> {
        while self.drawing.swap(1, Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        let drawn = self.draw_alone(more);
        self.drawing.store(0, Ordering::Release);
        drawn
    }

    fn draw_alone(&self, more: impl FnOnce(u32) -> Result<u32, SyncError>) -> Result<Owner, SyncError> {
        let spare = self.spare.load(Ordering::Relaxed);
        let (mut first, mut end) = ((spare >> 32) as u32, spare as u32);
        if first == end {
            let count = self.blocks.total().clamp(1, MOST);
            first = more(count)?;
            end = first + count;
            self.blocks.push(first, count);
        }
        self.spare.store(u64::from(first + 1) << 32 | u64::from(end), Ordering::Relaxed);
        Ok(Owner::from_word(first))
    }

    pub(super) fn contain(&self, id: u32) -> bool {
        self.blocks.find(id).is_some_and(|block| !block.has_retired(id))
    }

    pub(super) fn has_retired(&self, id: u32) -> bool {
        self.blocks.find(id).is_some_and(|block| block.has_retired(id))
    }

    /// Whether it was one of ours until now.
    pub(super) fn retire(&self, id: u32) -> bool {
        self.blocks.find(id).is_some_and(|block| block.retire(id))
    }

    #[cfg(unix)]
    pub(super) fn forget(&self) {
        self.blocks.forget();
        self.spare.store(0, Ordering::Relaxed);
        self.drawing.store(0, Ordering::Release);
    }
}

#[derive(Debug, Default)]
struct List(AtomicPtr<Block>);

#[derive(Debug)]
struct Block {
    first: u32,
    count: u32,
    /// One bit for each id. A process may retire any number of owners, and each is looked up often.
    retired: [AtomicU32; (MOST / WORD) as usize],
    next: Option<&'static Block>,
}

impl Block {
    const fn has(&self, id: u32) -> bool {
        id.wrapping_sub(self.first) < self.count
    }

    /// The word and the bit of an id that it has.
    const fn bit(&self, id: u32) -> (&AtomicU32, u32) {
        let place = id - self.first;
        (&self.retired[(place / WORD) as usize], 1 << (place % WORD))
    }

    fn has_retired(&self, id: u32) -> bool {
        let (word, bit) = self.bit(id);
        word.load(Ordering::Acquire) & bit != 0
    }

    /// Whether it was not retired before.
    fn retire(&self, id: u32) -> bool {
        let (word, bit) = self.bit(id);
        word.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}

impl List {
    fn blocks(&self) -> impl Iterator<Item = &'static Block> {
        // SAFETY: it is null, or was leaked by `push`.
        let newest = unsafe { self.0.load(Ordering::Acquire).as_ref() };
        std::iter::successors(newest, |block: &&Block| block.next)
    }

    fn find(&self, id: u32) -> Option<&'static Block> {
        self.blocks().find(|block| block.has(id))
    }

    fn total(&self) -> u32 {
        self.blocks().fold(0, |total, block| block.count.saturating_add(total))
    }

    fn push(&self, first: u32, count: u32) {
        let mut newest = self.0.load(Ordering::Acquire);
        let retired = [const { AtomicU32::new(0) }; (MOST / WORD) as usize];
        let block = Box::leak(Box::new(Block { first, count, retired, next: None }));
        loop {
            // SAFETY: it is null, or was leaked by an earlier `push`.
            block.next = unsafe { newest.as_ref() };
            match self.0.compare_exchange(newest, block, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(found) => newest = found,
            }
        }
    }

    #[cfg(unix)]
    fn forget(&self) {
        self.0.store(std::ptr::null_mut(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_that_come_and_go_leave_little_behind() {
        let (ids, mut next) = (Ids::default(), 1);
        for _ in 0..10_000 {
            let more = |count| {
                next += count;
                Ok(next - count)
            };
            let id = ids.draw(more).unwrap().get();
            assert!(ids.contain(id) && !ids.has_retired(id));
            assert!(ids.retire(id) && !ids.retire(id), "once");
            assert!(!ids.contain(id) && ids.has_retired(id));
        }
        assert!(ids.blocks.blocks().count() < 25);
        assert!(!ids.has_retired(next) && !ids.retire(next), "one of another process");
    }
}
