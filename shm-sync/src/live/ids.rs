//! The ids that this process drew: lists that only grow, so that they need no lock in a fork's child.

use crate::{Owner, SyncError};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The ids of this process under one live file.
#[derive(Debug, Default)]
pub(super) struct Ids {
    drawing: AtomicU32,
    // Ids not handed out yet: `first << 32 | end`.
    spare: AtomicU64,
    blocks: List,
    retired: List,
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
            let count = self.blocks.total().clamp(1, 1024);
            first = more(count)?;
            end = first + count;
            self.blocks.push(first, count);
        }
        self.spare.store(u64::from(first + 1) << 32 | u64::from(end), Ordering::Relaxed);
        Ok(Owner::from_word(first))
    }

    pub(super) fn contain(&self, id: u32) -> bool {
        self.blocks.contains(id) && !self.has_retired(id)
    }

    pub(super) fn has_retired(&self, id: u32) -> bool {
        self.retired.contains(id)
    }

    /// Whether it was one of ours until now.
    pub(super) fn retire(&self, id: u32) -> bool {
        let ours = self.contain(id);
        if ours {
            self.retired.push(id, 1);
        }
        ours
    }

    #[cfg(unix)]
    pub(super) fn forget(&self) {
        self.blocks.forget();
        self.retired.forget();
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
    next: Option<&'static Block>,
}

impl List {
    fn blocks(&self) -> impl Iterator<Item = &'static Block> {
        // SAFETY: it is null, or was leaked by `push`.
        let newest = unsafe { self.0.load(Ordering::Acquire).as_ref() };
        std::iter::successors(newest, |block: &&Block| block.next)
    }

    fn contains(&self, id: u32) -> bool {
        self.blocks().any(|block| id.wrapping_sub(block.first) < block.count)
    }

    fn total(&self) -> u32 {
        self.blocks().fold(0, |total, block| block.count.saturating_add(total))
    }

    fn push(&self, first: u32, count: u32) {
        let mut newest = self.0.load(Ordering::Acquire);
        let block = Box::leak(Box::new(Block { first, count, next: None }));
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
