//! What one copy of JavaScript's part has open here: objects and operations, each known to it by a number.

use super::{
    objects::{Numbered, Objects},
    operations::Running,
    shared::Shared,
};
use crate::{
    attachments::{self, Number},
    failure::Failure,
};
use napi::Env;
use std::{cell::RefCell, ptr::NonNull, sync::atomic::AtomicU32};

thread_local! {
    /// The tables of this thread: one for each copy of JavaScript's part.
    static TABLES: RefCell<Vec<NonNull<RefCell<Table>>>> = const { RefCell::new(Vec::new()) };
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) objects: Objects,
    /// Operations of calls that do not block.
    pub(super) running: Numbered<Running>,
    /// The one that a call which blocks was at when it came back for a moment.
    pub(super) blocking: Option<Running>,
    /// By the slot of a wait: the attachment and the word.
    pub(crate) sleeping: Vec<Option<(Number, NonNull<AtomicU32>)>>,
    /// Further answers of a call.
    pub(crate) out: Shared,
    /// The key that a call on a map is about.
    pub(crate) key: Shared,
    /// Where values of maps go: memory of JavaScript's, and how long it is.
    pub(crate) pool: (NonNull<u8>, usize),
}

impl Table {
    /// A table that lives until the environment ends, then without objects.
    pub(crate) fn new(env: &Env, out: Shared, key: Shared) -> Result<NonNull<RefCell<Self>>, Failure> {
        attachments::end_coordination_by(leave);
        let table = Self {
            objects: Objects::default(),
            running: Numbered::default(),
            blocking: None,
            sleeping: Vec::new(),
            out,
            key,
            pool: (NonNull::dangling(), 0),
        };
        let table = NonNull::from(Box::leak(Box::new(RefCell::new(table))));
        TABLES.with_borrow_mut(|all| all.push(table));
        env.add_env_cleanup_hook(table, |table| {
            TABLES.with_borrow_mut(|all| all.retain(|other| *other != table));
            // SAFETY: `leak` made it, and JavaScript, which alone has it besides, calls nothing any more.
            drop(unsafe { Box::from_raw(table.as_ptr()) });
        })?;
        Ok(table)
    }

    /// Ends everything that is open in some attachments.
    fn leave(&mut self, is_left: impl Fn(Number) -> bool) {
        for running in self.running.iter_mut().filter(|running| is_left(running.number)) {
            running.leave();
        }
        if self.blocking.as_ref().is_some_and(|running| is_left(running.number)) {
            self.blocking = None;
        }
        self.objects.leave(is_left);
    }
}

fn leave_where(is_left: impl Fn(Number) -> bool) {
    TABLES.with_borrow(|all| {
        for table in all {
            // SAFETY: it lives as long as it is in the list.
            let table = unsafe { table.as_ref() };
            // No call is at work on it: none detaches, and none ends the environment.
            table.borrow_mut().leave(&is_left);
        }
    });
}

/// Ends everything that is open in an attachment: its segment is about to be let go.
fn leave(number: Number) {
    leave_where(|other| other == number);
}

/// Ends everything that this thread has open.
pub(crate) fn leave_all() {
    leave_where(|_| true);
}
