//! A futex for the model checker. Nothing ever times out in it, so a lost wake-up is a deadlock that the
//! checker finds.

use super::cell::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use shm_api::OsError;
use std::{collections::HashMap, ptr, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Woken,
    NotEqual,
}

struct Sleepers {
    // By address: how many sleep there, and how many of them were woken but do not know yet.
    queues: Mutex<HashMap<usize, (usize, usize)>>,
    woken: Condvar,
}

loom::lazy_static! {
    static ref SLEEPERS: Sleepers =
        Sleepers { queues: Mutex::new(HashMap::new()), woken: Condvar::new() };
}

pub(crate) fn wait(cell: &AtomicU32, expected: u32, _timeout: Option<Duration>) -> Result<Waited, OsError> {
    let address = ptr::from_ref(cell).addr();
    let mut queues = SLEEPERS.queues.lock().unwrap();
    if cell.load(Ordering::SeqCst) != expected {
        return Ok(Waited::NotEqual);
    }
    queues.entry(address).or_default().0 += 1;
    loop {
        queues = SLEEPERS.woken.wait(queues).unwrap();
        let (_, woken) = queues.get_mut(&address).unwrap();
        if *woken > 0 {
            *woken -= 1;
            return Ok(Waited::Woken);
        }
    }
}

pub(crate) fn wake(cell: &AtomicU32, count: u32) -> usize {
    let mut queues = SLEEPERS.queues.lock().unwrap();
    let Some((asleep, woken)) = queues.get_mut(&ptr::from_ref(cell).addr()) else { return 0 };
    let count = (*asleep).min(count as usize);
    *asleep -= count;
    *woken += count;
    SLEEPERS.woken.notify_all();
    count
}
