//! Timers by the kernel's clock: a program may have replaced JavaScript's clocks and timers.
//!
//! One thread of the process reports expired timers through their doors.

use crate::{
    doors::Door,
    failure::{AGAIN, Failure},
};
use shm_api::OsError;
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static ALARMS: Mutex<Alarms> = Mutex::new(Alarms { due: BTreeMap::new(), has_thread: false });
static CHANGED: Condvar = Condvar::new();

struct Alarms {
    /// By their microsecond since the start; no two alarms have the same one.
    due: BTreeMap<u64, (Arc<Door>, u32)>,
    has_thread: bool,
}

fn alarms() -> MutexGuard<'static, Alarms> {
    ALARMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds of a clock that only ever goes forward.
pub(crate) fn now() -> f64 {
    START.elapsed().as_secs_f64() * 1000.0
}

/// Reports to a slot of a door when that time is over. Returns the number that cancels it, below 2^53.
pub(crate) fn set(door: Arc<Door>, slot: u32, after: Duration) -> Result<u64, Failure> {
    const FAR: u64 = 1 << 52;
    let mut alarms = alarms();
    if !alarms.has_thread {
        let thread = std::thread::Builder::new().name("shm-node alarms".into()).stack_size(64 << 10);
        thread.spawn(ring).map_err(|error| {
            Failure::System(
                OsError::new("clone", error.raw_os_error().unwrap_or(AGAIN))
                    .advise("There is no thread for time limits: try again when some threads have ended."),
            )
        })?;
        alarms.has_thread = true;
    }
    let at = START.elapsed().saturating_add(after).as_micros();
    let mut at = u64::try_from(at).map_or(FAR, |at| at.min(FAR));
    while alarms.due.contains_key(&at) {
        at += 1;
    }
    let is_first = alarms.due.first_key_value().is_none_or(|(first, _)| at < *first);
    alarms.due.insert(at, (door, slot));
    if is_first {
        CHANGED.notify_one();
    }
    Ok(at)
}

/// Cancels an alarm; `false` if it was reported already.
pub(crate) fn cancel(alarm: u64) -> bool {
    alarms().due.remove(&alarm).is_some()
}

fn ring() {
    let mut all = alarms();
    loop {
        let now = START.elapsed();
        let Some(next) = all.due.first_entry() else {
            all = CHANGED.wait(all).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = Duration::from_micros(*next.key()).saturating_sub(now);
        if left.is_zero() {
            let (door, slot) = next.remove();
            door.tell(slot, 0);
        } else {
            (all, _) = CHANGED.wait_timeout(all, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
