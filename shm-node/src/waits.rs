//! Waits without blocking JavaScript: doors report the ends of waits.
//!
//! Where the event loop can, it drives an engine of its own for each door; elsewhere one engine serves the process.
//! Before a segment is let go, its waits are cancelled, and their ends awaited.

use crate::{
    doors::{self, Door},
    failure::Failure,
    loops::{self, Ready},
};
use napi::Env;
use shm_sync::{
    SyncError,
    engine::{self, Ended, Engine, Request},
};
use std::{
    ops::Range,
    ptr::NonNull,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How long the end of an attachment waits for its cancelled waits. They take microseconds. After that
/// time the memory stays mapped, so this is not needed for safety.
const WAIT_OUT: Duration = Duration::from_secs(5);

static ENGINE: OnceLock<Result<Box<dyn Engine>, SyncError>> = OnceLock::new();
/// Those that event loops drive.
static DRIVEN: Mutex<Vec<Weak<dyn Engine>>> = Mutex::new(Vec::new());
static TOKENS: AtomicU64 = AtomicU64::new(1);

/// The name of the engine that serves the process: for tests of ways that are not the best one here.
fn wanted() -> Option<String> {
    std::env::var("SHM_NODE_WAITS").ok().filter(|name| !name.is_empty())
}

/// The engine of this process.
fn engine() -> Result<&'static dyn Engine, Failure> {
    let make = || -> Result<Box<dyn Engine>, SyncError> {
        wanted().and_then(|name| engine::by_name(&name)).unwrap_or_else(engine::choose)
    };
    ENGINE.get_or_init(make).as_deref().map_err(|error| error.clone().into())
}

/// An engine that this environment's event loop drives, where it can; see [`loops::drive`].
pub(crate) fn drive(env: &Env, ready: Ready) -> Option<Arc<dyn Engine>> {
    if wanted().is_some() {
        return None;
    }
    let engine = loops::drive(env, ready)?;
    let mut driven = DRIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    driven.retain(|other| other.strong_count() > 0);
    driven.push(Arc::downgrade(&engine));
    Some(engine)
}

/// How this thread waits, once it has begun to.
pub(crate) fn way() -> Result<&'static str, Failure> {
    match doors::engines().first() {
        Some(engine) => Ok(engine.name()),
        None => Ok(engine()?.name()),
    }
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

/// Begins a wait, whose end is reported through a door; returns the token that cancels it.
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
    let driven = door.engine();
    let completion = Box::new(move |ended| door.tell(slot, encode(&ended)));
    let request = Request { cell: cell.as_ptr(), expected, timeout, token, completion };
    let engine = match driven.as_deref() {
        Some(driven) => driven,
        None => engine()?,
    };
    // SAFETY: by the caller's promise; `leave` waits for the completion.
    unsafe { engine.submit(request) }?;
    Ok(token)
}

/// Asks for the end of a wait that this thread began.
pub(crate) fn cancel(token: u64) -> bool {
    doors::engines().iter().any(|engine| engine.cancel(token))
        || ENGINE.get().is_some_and(|engine| engine.as_ref().is_ok_and(|engine| engine.cancel(token)))
}

/// Ends all waits on cells in a range of addresses, whichever thread began them, and waits until they have ended.
pub(crate) fn leave(addresses: Range<usize>) {
    let end = |engine: &dyn Engine| {
        if engine.pending() > 0 && engine.cancel_in(addresses.clone()) > 0 {
            engine.wait_out(addresses.clone(), WAIT_OUT);
        }
    };
    let driven: Vec<_> = {
        let all = DRIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).collect()
    };
    for engine in driven {
        end(&*engine);
    }
    if let Some(Ok(engine)) = ENGINE.get() {
        end(&**engine);
    }
}
