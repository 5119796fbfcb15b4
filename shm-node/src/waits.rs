//! Waiting without blocking JavaScript: one engine for the process, whose waits' ends are told through doors.
//!
//! Before a segment is let go, its waits are cancelled, and their ends awaited.

use crate::{doors::Door, failure::Failure};
use shm_sync::{
    SyncError,
    engine::{self, Ended, Engine, Request},
};
use std::{
    ops::Range,
    ptr::NonNull,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How long the end of an attachment waits for its cancelled waits. They take microseconds; the memory would stay
/// mapped anyway, so that this is no matter of safety.
const WAIT_OUT: Duration = Duration::from_secs(5);

static ENGINE: OnceLock<Result<Box<dyn Engine>, SyncError>> = OnceLock::new();
static TOKENS: AtomicU64 = AtomicU64::new(1);

/// The engine of this process. The variable is for tests of the ways that are not the best one here.
pub(crate) fn engine() -> Result<&'static dyn Engine, Failure> {
    let make = || -> Result<Box<dyn Engine>, SyncError> {
        let wanted = std::env::var("SHM_NODE_WAITS").ok();
        wanted.and_then(|name| engine::by_name(&name)).unwrap_or_else(engine::choose)
    };
    ENGINE.get_or_init(make).as_deref().map_err(|error| error.clone().into())
}

// 12 bits of errno above 3 bits of how it ended.
fn encode(ended: &Ended) -> u16 {
    let (how, errno) = match ended {
        Ended::Woken => (0, 0),
        Ended::NotEqual => (1, 0),
        Ended::TimedOut => (2, 0),
        Ended::Cancelled => (3, 0),
        Ended::Failed(error) => (4, error.errno() as u16 & 0xfff),
    };
    errno << 3 | how
}

/// Begins a wait, whose end is told through a door; returns what to cancel it by.
///
/// # Safety
///
/// The cell stays mapped until [`leave`] has been called on its segment.
pub(crate) unsafe fn begin(
    door: Arc<Door>,
    cell: NonNull<AtomicU32>,
    expected: u32,
    timeout: Option<Duration>,
    slot: u32,
) -> Result<u64, Failure> {
    let token = TOKENS.fetch_add(1, Relaxed);
    let completion = Box::new(move |ended| door.tell(slot, encode(&ended)));
    let request = Request { cell: cell.as_ptr(), expected, timeout, token, completion };
    // SAFETY: by the caller's promise; `leave` waits for the completion.
    unsafe { engine()?.submit(request) }?;
    Ok(token)
}

/// Asks for the end of a wait.
pub(crate) fn cancel(token: u64) -> bool {
    engine().is_ok_and(|engine| engine.cancel(token))
}

/// Ends all waits on cells in a range of addresses, and waits until they have ended.
pub(crate) fn leave(addresses: Range<usize>) {
    let Some(Ok(engine)) = ENGINE.get() else { return };
    if engine.pending() > 0 && engine.cancel_in(addresses.clone()) > 0 {
        engine.wait_out(addresses, WAIT_OUT);
    }
}
