//! A futex for the model checker.

use crate::protocol::memory::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use std::{collections::HashMap, ptr};

struct Sleepers {
    // By address: how many sleep there, and how many of them were woken but do not know yet.
    queues: Mutex<HashMap<usize, (usize, usize)>>,
    woken: Condvar,
}

loom::lazy_static! {
    static ref SLEEPERS: Sleepers =
        Sleepers { queues: Mutex::new(HashMap::new()), woken: Condvar::new() };
}

/// Sleeps while `cell` holds `expected`, until somebody wakes us.
pub(super) fn wait(cell: &AtomicU32, expected: u32) {
    let address = ptr::from_ref(cell).addr();
    let mut queues = SLEEPERS.queues.lock().unwrap();
    if cell.load(Ordering::SeqCst) != expected {
        return;
    }
    queues.entry(address).or_default().0 += 1;
    loop {
        queues = SLEEPERS.woken.wait(queues).unwrap();
        let (_, woken) = queues.get_mut(&address).unwrap();
        if *woken > 0 {
            *woken -= 1;
            return;
        }
    }
}

/// Wakes at most `count` sleepers on `cell`, and returns how many.
pub(super) fn wake(cell: &AtomicU32, count: u32) -> usize {
    let mut queues = SLEEPERS.queues.lock().unwrap();
    let Some((asleep, woken)) = queues.get_mut(&ptr::from_ref(cell).addr()) else { return 0 };
    let count = (*asleep).min(count as usize);
    *asleep -= count;
    *woken += count;
    SLEEPERS.woken.notify_all();
    count
}
