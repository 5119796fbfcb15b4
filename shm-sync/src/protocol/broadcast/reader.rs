//! How a message is received: a reader copies it, and then checks whether it was overwritten meanwhile.

use super::{Latest, halves};
use crate::protocol::{
    layout::broadcast::{HEAD_LOW, STRUCTURE},
    memory::{Memory, Ordering, fence, spin},
    stamp::Damaged,
    step::{Pause, Step},
};

/// How often a reader that is overtaken while it reads tries again before it says that there is nothing.
pub(crate) const ATTEMPTS: u32 = 8;

/// Where a reader is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The number of the message that it reads next.
    pub(crate) next: u64,
    missed: u64,
    // How often in a row.
    overtaken: u32,
}

impl<'a, M: Memory<'a>> Latest<M> {
    /// Returns a reader of the messages to come.
    pub(crate) fn cursor(&self) -> Cursor {
        let mut cursor = Cursor { next: 0, missed: 0, overtaken: 0 };
        cursor.next = self.head_for(&cursor);
        cursor
    }

    /// Goes back to the oldest message that is still there.
    pub(crate) fn rewind(&self, cursor: &mut Cursor) {
        cursor.next = self.head_for(cursor).saturating_sub(self.slots.into());
        cursor.missed = 0;
    }

    #[inline]
    fn head_for(&self, cursor: &Cursor) -> u64 {
        match self.head() {
            Some(head) => head,
            None => self.head_again(cursor),
        }
    }

    #[cold]
    fn head_again(&self, cursor: &Cursor) -> u64 {
        // The halves differ for a moment in four thousand million messages, or if a producer was killed in it.
        for _ in 0..ATTEMPTS {
            if let Some(head) = self.head() {
                return head;
            }
            std::thread::yield_now();
        }
        self.head().unwrap_or(cursor.next)
    }

    /// Goes to the next message that is there, and gives its length.
    #[inline]
    pub(crate) fn find(&self, cursor: &mut Cursor) -> Result<Option<u32>, Damaged> {
        // Almost always there is nothing new, or the next message is still there.
        let head = self.head_for(cursor);
        if head == cursor.next {
            return Ok(None);
        }
        if head.wrapping_sub(cursor.next) <= u64::from(self.slots) && self.is_there(cursor.next) {
            let length = self.length(cursor.next).load(Ordering::Relaxed);
            if length <= self.max_message && self.is_still_there(cursor.next) {
                return Ok(Some(length));
            }
        }
        self.find_slowly(cursor)
    }

    #[cold]
    fn find_slowly(&self, cursor: &mut Cursor) -> Result<Option<u32>, Damaged> {
        for attempt in 0..ATTEMPTS {
            let head = self.head_for(cursor);
            if head == cursor.next {
                return Ok(None);
            }
            if head < cursor.next {
                return Err(STRUCTURE.damaged("its head went back"));
            }
            if attempt > 0 || head - cursor.next > u64::from(self.slots) {
                self.skip(cursor, head);
            }
            if self.is_there(cursor.next) {
                let length = self.length(cursor.next).load(Ordering::Relaxed);
                if self.is_still_there(cursor.next) {
                    return if length <= self.max_message {
                        Ok(Some(length))
                    } else {
                        Err(STRUCTURE.damaged("a message is too long"))
                    };
                }
            } else if attempt + 1 == ATTEMPTS && cursor.next + 1 == head && self.head_for(cursor) == head {
                return Err(STRUCTURE.damaged("its newest message is not there"));
            }
        }
        Ok(None)
    }

    /// The next message's length, or how to wait for it.
    pub(crate) fn find_step(&self, cursor: &mut Cursor) -> Result<Step<'a, u32>, Damaged> {
        Ok(match self.find(cursor)? {
            Some(length) => Step::Ready(length),
            None => Step::Wait(self.wait_for(cursor.next)),
        })
    }

    /// Looks for a while whether there is another message than those that the reader has seen.
    pub(crate) fn spin_for(&self, cursor: &Cursor) {
        spin(|| self.head().is_some_and(|head| head != cursor.next));
    }

    // Overtaken: goes to a message that is not about to go away too; the more often, the newer.
    #[cold]
    fn skip(&self, cursor: &mut Cursor, head: u64) {
        let count = u64::from(self.slots);
        let keep = if cursor.overtaken < 3 { (count - count / 4).min(count - 1) } else { 1 };
        let next = head.saturating_sub(keep).max(cursor.next);
        cursor.overtaken = cursor.overtaken.saturating_add(1);
        cursor.missed += next - cursor.next;
        cursor.next = next;
    }

    /// Ends the reading of the message: how many were missed before it, or `None` if it was overwritten meanwhile.
    #[inline]
    pub(crate) fn finish(&self, cursor: &mut Cursor) -> Option<u64> {
        if !self.is_still_there(cursor.next) {
            return None;
        }
        cursor.overtaken = 0;
        cursor.next = cursor.next.wrapping_add(1);
        Some(std::mem::take(&mut cursor.missed))
    }

    // Whether message `number`, below the head, is in its slot.
    #[inline]
    fn is_there(&self, number: u64) -> bool {
        self.stamp(number).load(Ordering::Acquire) == halves(number.wrapping_add(1)).1
    }

    // Whether it still is, and so what was read of it meanwhile is whole.
    #[inline]
    fn is_still_there(&self, number: u64) -> bool {
        fence(Ordering::Acquire);
        self.stamp(number).load(Ordering::Relaxed) == halves(number.wrapping_add(1)).1
    }

    // The pause of a reader that has seen all messages before `number`.
    fn wait_for(&self, number: u64) -> Pause<'a> {
        let head = self.memory.word(HEAD_LOW);
        self.readers_event().prepare(|| head.load(Ordering::SeqCst) != halves(number).1)
    }
}
