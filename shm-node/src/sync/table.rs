//! The objects and operations that one copy of the JavaScript part has open here. It knows each by a number.

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
    /// The tables of this thread: one for each copy of the JavaScript part.
    static TABLES: RefCell<Vec<NonNull<RefCell<Table>>>> = const { RefCell::new(Vec::new()) };
}

/// A sleep between two steps of an operation, also after it has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sleep {
    pub(crate) number: Number,
    pub(crate) word: NonNull<AtomicU32>,
    /// Whether its wake-up is for another waiter if it comes too late.
    pub(crate) passes_on: bool,
}

/// Everything that one copy has open.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) objects: Objects,
    /// Operations of calls that do not block.
    pub(super) running: Numbered<Running>,
    /// The operation of a blocking call that has returned for a moment.
    pub(super) blocking: Option<Running>,
    /// By the slot of a wait: its last sleep.
    pub(crate) sleeping: Vec<Option<Sleep>>,
    /// Further answers of a call.
    pub(crate) out: Shared,
    /// The key of a call on a map.
    pub(crate) key: Shared,
    /// The place for values of maps: memory of JavaScript, and its length.
    pub(crate) pool: (NonNull<u8>, usize),
}

impl Table {
    /// Makes a table that exists until the environment ends. Its objects are ended before.
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
        for running in self.running.iter_mut().filter(|running| running.uses(&is_left)) {
            running.leave();
        }
        if self.blocking.as_ref().is_some_and(|running| running.uses(&is_left)) {
            self.blocking = None;
        }
        self.objects.leave(&is_left);
        // Its sleeps have ended, some by a wake-up that JavaScript has not heard of. A waiter that is woken for nothing
        // sleeps on.
        for sleep in &mut self.sleeping {
            if let Some(Sleep { word, passes_on: true, .. }) = sleep.take_if(|sleep| is_left(sleep.number)) {
                // SAFETY: its segment is let go after this.
                shm_sync::notify(unsafe { word.as_ref() }, 1);
            }
        }
    }
}

fn leave_where(is_left: impl Fn(Number) -> bool) {
    TABLES.with_borrow(|all| {
        for table in all {
            // SAFETY: it lives as long as it is in the list.
            let table = unsafe { table.as_ref() };
            // No call is using it: no call detaches, and none ends the environment.
            table.borrow_mut().leave(&is_left);
        }
    });
}

/// Ends everything that is open in an attachment, before its segment is let go.
fn leave(number: Number) {
    leave_where(|other| other == number);
}

/// Ends everything that this thread has open.
pub(crate) fn leave_all() {
    leave_where(|_| true);
}
