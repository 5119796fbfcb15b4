//! Waiting without blocking JavaScript: one engine for the process, and for each environment one threadsafe
//! function through which it hears how its waits ended.
//!
//! A wait is named by a slot that JavaScript chose, free until it has heard. Before a segment is let go, its waits
//! are cancelled, and their ends awaited.

use crate::failure::{Failure, check};
use napi::{Env, sys};
use shm_sync::{
    SyncError,
    engine::{self, Ended, Engine, Request},
};
use std::{
    cell::RefCell,
    ffi::c_void,
    ops::Range,
    ptr::{self, NonNull},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// How long the end of an attachment waits for its cancelled waits. They take microseconds; the memory would stay
/// mapped anyway, so that this is no matter of safety.
const PATIENCE: Duration = Duration::from_secs(5);

static ENGINE: OnceLock<Result<Box<dyn Engine>, SyncError>> = OnceLock::new();
static TOKENS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static DOOR: RefCell<Option<Arc<Door>>> = const { RefCell::new(None) };
}

/// The engine of this process. The variable is for tests of the ways that are not the best one here.
pub(crate) fn engine() -> Result<&'static dyn Engine, Failure> {
    let make = || -> Result<Box<dyn Engine>, SyncError> {
        let wanted = std::env::var("SHM_NODE_WAITS").ok();
        wanted.and_then(|name| engine::by_name(&name)).unwrap_or_else(engine::choose)
    };
    ENGINE.get_or_init(make).as_deref().map_err(|error| error.clone().into())
}

/// The way from the engine's threads into an environment, shut before the environment ends.
#[derive(Debug, Default)]
struct Door(Mutex<Option<Function>>);

#[derive(Debug)]
struct Function(sys::napi_threadsafe_function);

// SAFETY: being called from any thread is what it is for.
unsafe impl Send for Function {}

impl Door {
    fn tell(&self, slot: u32, ended: &Ended) {
        let function = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(function) = &*function else { return };
        let data = ptr::without_provenance_mut(encode(slot, ended));
        // SAFETY: the function lives while the door is open, and the lock keeps it open. If it says that the
        // environment ends, nobody is there to hear of it.
        unsafe {
            sys::napi_call_threadsafe_function(function.0, data, sys::ThreadsafeFunctionCallMode::nonblocking)
        };
    }

    fn shut(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

// 12 bits of errno, 3 bits of how it ended, 17 bits of slot: a pointer of any system has room for them.
fn encode(slot: u32, ended: &Ended) -> usize {
    let (how, errno) = match ended {
        Ended::Woken => (0, 0),
        Ended::NotEqual => (1, 0),
        Ended::TimedOut => (2, 0),
        Ended::Cancelled => (3, 0),
        Ended::Failed(error) => (4, error.errno() as usize & 0xfff),
    };
    (slot as usize) << 15 | errno << 3 | how
}

unsafe extern "C" fn call_js(
    env: sys::napi_env,
    callback: sys::napi_value,
    _context: *mut c_void,
    data: *mut c_void,
) {
    if env.is_null() || callback.is_null() {
        return; // the environment ends
    }
    let data = data.addr();
    let (mut slot, mut how, mut nothing) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: Node calls this with an open scope; the pointers are ours to write to.
    unsafe { sys::napi_create_uint32(env, (data >> 15) as u32, &raw mut slot) };
    // SAFETY: as above.
    unsafe { sys::napi_create_uint32(env, (data & 0x7fff) as u32, &raw mut how) };
    // SAFETY: as above.
    unsafe { sys::napi_get_undefined(env, &raw mut nothing) };
    let arguments = [slot, how];
    // SAFETY: values of this scope. What it throws, Node takes up when we return.
    unsafe { sys::napi_call_function(env, nothing, callback, 2, arguments.as_ptr(), ptr::null_mut()) };
}

unsafe extern "C" fn finalize(_env: sys::napi_env, door: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `prepare` gave it a share, and this runs once.
    let door = unsafe { Arc::from_raw(door.cast::<Door>()) };
    door.shut();
}

/// Lets this environment hear: `callback(slot, how)` for each wait that ended.
pub(crate) fn prepare(env: &Env, callback: sys::napi_value) -> napi::Result<()> {
    let name = env.create_string("shm-node waits")?;
    let door = Arc::new(Door::default());
    let context = Arc::into_raw(door.clone()).cast_mut().cast();
    let mut function = ptr::null_mut();
    // SAFETY: the values are of this scope, and `finalize` takes the share in `context`.
    check(unsafe {
        sys::napi_create_threadsafe_function(
            env.raw(),
            callback,
            ptr::null_mut(),
            napi::JsValue::raw(&name),
            0,
            1,
            context,
            Some(finalize),
            context,
            Some(call_js),
            &raw mut function,
        )
    })?;
    // SAFETY: just made, in this thread.
    check(unsafe { sys::napi_unref_threadsafe_function(env.raw(), function) })?;
    *door.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Function(function));
    DOOR.set(Some(door.clone()));
    // Hooks run in the reverse order of their making: this one before Node's, which frees the function.
    env.add_env_cleanup_hook(door, |door| door.shut())?;
    Ok(())
}

/// No more is told to this environment: it ends.
pub(crate) fn shut() {
    if let Some(door) = DOOR.with_borrow(Clone::clone) {
        door.shut();
    }
}

/// Whether pending waits keep this environment alive.
pub(crate) fn keep_alive(env: &Env, wanted: bool) -> napi::Result<()> {
    DOOR.with_borrow(|door| {
        let Some(door) = door else { return Ok(()) };
        let function = door.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(function) = &*function else { return Ok(()) };
        let change =
            if wanted { sys::napi_ref_threadsafe_function } else { sys::napi_unref_threadsafe_function };
        // SAFETY: the function is this environment's, and this its thread.
        check(unsafe { change(env.raw(), function.0) })
    })
}

/// Begins a wait; returns what to cancel it by.
///
/// # Safety
///
/// The cell stays mapped until [`leave`] has been called on its segment.
pub(crate) unsafe fn begin(
    cell: NonNull<AtomicU32>,
    expected: u32,
    timeout: Option<Duration>,
    slot: u32,
) -> Result<u64, Failure> {
    let door = DOOR.with_borrow(Clone::clone).ok_or_else(|| Failure::internal("not prepared to wait"))?;
    let token = TOKENS.fetch_add(1, Relaxed);
    let completion = Box::new(move |ended| door.tell(slot, &ended));
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
        engine.settle(addresses, PATIENCE);
    }
}
