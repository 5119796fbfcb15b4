//! Callback handles into Node environments: other threads and the event loop report through them which waits have
//! ended.
//!
//! Each copy of the JavaScript has a door of its own, and there may be several in one thread: two bundles, a module
//! registry that was reset, the package installed twice. A door is one threadsafe function; and where the event loop
//! itself learns what has ended, it calls the same JavaScript without a detour. What it tells of is named by a slot
//! that JavaScript chose, free until it has heard.

use crate::{
    failure::{Failure, check},
    waits,
};
use napi::{Env, sys};
use shm_sync::engine::Engine;
use std::{
    cell::RefCell,
    ffi::c_void,
    mem, ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

thread_local! {
    /// The doors of this thread, by their numbers.
    static DOORS: RefCell<Vec<Arc<Door>>> = const { RefCell::new(Vec::new()) };
}

/// Callback handle into one Node environment. It is shut before the environment ends.
#[derive(Debug, Default)]
pub(crate) struct Door(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// For other threads, and for waits that end while JavaScript runs.
    function: Option<Function>,
    /// For the event loop, where it drives an engine.
    direct: Option<Direct>,
    engine: Option<Arc<dyn Engine>>,
    /// The reports that come while the event loop harvests. It passes them to JavaScript afterwards.
    told: Option<Vec<(u32, u16)>>,
}

#[derive(Debug)]
struct Function(sys::napi_threadsafe_function);

// SAFETY: a threadsafe function may be called from any thread.
unsafe impl Send for Function {}

/// The layout of a report: 17 bits of slot above 15 bits of how it ended. It fits into a pointer of any system.
const HOW_BITS: u32 = 15;
const HOW: usize = (1 << HOW_BITS) - 1;

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls JavaScript later, with a slot and how it ended; may be called from any thread.
    pub(crate) fn tell(&self, slot: u32, how: u16) {
        let mut state = self.state();
        if let Some(told) = &mut state.told {
            return told.push((slot, how));
        }
        let Some(function) = &state.function else { return };
        let data = ptr::without_provenance_mut((slot as usize) << HOW_BITS | how as usize & HOW);
        // SAFETY: the function lives while the door is open, and the lock keeps it open. If it says that the
        // environment ends, nobody is there to hear of it.
        unsafe {
            sys::napi_call_threadsafe_function(function.0, data, sys::ThreadsafeFunctionCallMode::nonblocking)
        };
    }

    /// The event loop has something to harvest: calls JavaScript with all of it.
    fn hear(&self, harvest: &dyn Fn()) {
        self.state().told = Some(Vec::new());
        harvest();
        // Unlocked before JavaScript runs: it may do anything, even turn the loop.
        let (told, direct) = {
            let mut state = self.state();
            (state.told.take().unwrap_or_default(), state.direct)
        };
        let Some(direct) = direct else { return };
        for (slot, how) in told {
            direct.call(slot, how);
        }
    }

    /// The engine that the event loop drives, if it does.
    pub(crate) fn engine(&self) -> Option<Arc<dyn Engine>> {
        self.state().engine.clone()
    }

    fn shut(&self) {
        self.state().function = None;
    }

    /// The environment ends.
    fn end(&self) {
        // Dropped after the unlock: an engine ends its waits, and reports them here.
        let state = mem::take(&mut *self.state());
        if let Some(direct) = state.direct {
            direct.free();
        }
    }
}

/// JavaScript's function, to be called from the event loop.
#[derive(Clone, Copy, Debug)]
struct Direct {
    env: sys::napi_env,
    callback: sys::napi_ref,
    context: sys::napi_async_context,
}

// SAFETY: only the thread of its environment calls it.
unsafe impl Send for Direct {}

impl Direct {
    fn new(env: &Env, callback: sys::napi_value, name: sys::napi_value) -> napi::Result<Self> {
        let mut direct = Self { env: env.raw(), callback: ptr::null_mut(), context: ptr::null_mut() };
        // SAFETY: a value of this scope, and a place of ours.
        check(unsafe { sys::napi_create_reference(env.raw(), callback, 1, &raw mut direct.callback) })?;
        // SAFETY: as above; no resource is a new one.
        check(unsafe { sys::napi_async_init(env.raw(), ptr::null_mut(), name, &raw mut direct.context) })?;
        Ok(direct)
    }

    /// Calls JavaScript as Node itself does: with a turn of its microtasks, and what it throws is uncaught.
    fn call(self, slot: u32, how: u16) {
        let Self { env, context, .. } = self;
        let mut scope = ptr::null_mut();
        // SAFETY: the event loop of this environment called us. Where that ends, the following calls do nothing.
        if unsafe { sys::napi_open_handle_scope(env, &raw mut scope) } != sys::Status::napi_ok {
            return;
        }
        let (mut callback, mut global) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the reference is ours, and the place too.
        unsafe { sys::napi_get_reference_value(env, self.callback, &raw mut callback) };
        // SAFETY: a place of ours.
        unsafe { sys::napi_get_global(env, &raw mut global) };
        let arguments = arguments(env, slot, how);
        // SAFETY: values of this scope.
        unsafe {
            sys::napi_make_callback(env, context, global, callback, 2, arguments.as_ptr(), ptr::null_mut())
        };
        report(env);
        // SAFETY: it is the innermost one.
        unsafe { sys::napi_close_handle_scope(env, scope) };
    }

    fn free(self) {
        // SAFETY: made in `new`, and `hear` finds it no more.
        unsafe { sys::napi_delete_reference(self.env, self.callback) };
        // SAFETY: as above.
        unsafe { sys::napi_async_destroy(self.env, self.context) };
    }
}

fn arguments(env: sys::napi_env, slot: u32, how: u16) -> [sys::napi_value; 2] {
    [slot, how.into()].map(|number| {
        let mut value = ptr::null_mut();
        // SAFETY: our caller has opened a scope, and the place is ours.
        unsafe { sys::napi_create_uint32(env, number, &raw mut value) };
        value
    })
}

/// Makes an uncaught exception of what JavaScript threw, if it did.
fn report(env: sys::napi_env) {
    let (mut threw, mut error) = (false, ptr::null_mut());
    // SAFETY: a place of ours.
    unsafe { sys::napi_is_exception_pending(env, &raw mut threw) };
    if threw {
        // SAFETY: as above.
        unsafe { sys::napi_get_and_clear_last_exception(env, &raw mut error) };
        // SAFETY: a value of the scope that our caller has opened.
        unsafe { sys::napi_fatal_exception(env, error) };
    }
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
    let arguments = arguments(env, (data >> HOW_BITS) as u32, (data & HOW) as u16);
    let mut nothing = ptr::null_mut();
    // SAFETY: Node calls this with an open scope; the place is ours.
    unsafe { sys::napi_get_undefined(env, &raw mut nothing) };
    // SAFETY: values of this scope.
    unsafe { sys::napi_call_function(env, nothing, callback, 2, arguments.as_ptr(), ptr::null_mut()) };
    // Node would only warn of it, when we return.
    report(env);
}

unsafe extern "C" fn finalize(_env: sys::napi_env, door: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `open` gave it a share, and this runs once.
    let door = unsafe { Arc::from_raw(door.cast::<Door>()) };
    door.shut();
}

/// Opens a door, and returns its number: each report calls `callback(slot, how)`.
pub(crate) fn open(env: &Env, callback: sys::napi_value) -> napi::Result<u32> {
    let name = env.create_string("shm-node waits")?;
    let name = napi::JsValue::raw(&name);
    let door = Arc::new(Door::default());
    let context = Arc::into_raw(door.clone()).cast_mut().cast();
    let mut function = ptr::null_mut();
    // SAFETY: the values are of this scope, and `finalize` takes the share in `context`.
    check(unsafe {
        sys::napi_create_threadsafe_function(
            env.raw(),
            callback,
            ptr::null_mut(),
            name,
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
    let ready = door.clone();
    let engine = waits::drive(env, Box::new(move |harvest| ready.hear(harvest)));
    let direct = engine.as_ref().map(|_| Direct::new(env, callback, name)).transpose()?;
    *door.state() = State { function: Some(Function(function)), direct, engine, told: None };
    let number = DOORS.with_borrow_mut(|doors| {
        doors.push(door.clone());
        doors.len() - 1
    });
    // Hooks run in the reverse order of their making: this one before Node's, which frees the function.
    env.add_env_cleanup_hook(door, |door| door.end())?;
    Ok(number as u32)
}

/// A door of this thread.
pub(crate) fn find(number: u32) -> Result<Arc<Door>, Failure> {
    let door = DOORS.with_borrow(|doors| doors.get(number as usize).cloned());
    door.ok_or_else(|| Failure::internal("no such door"))
}

/// The engines that the event loop of this thread drives.
pub(crate) fn engines() -> Vec<Arc<dyn Engine>> {
    DOORS.with_borrow(|doors| doors.iter().filter_map(|door| door.engine()).collect())
}

/// No more is told to this thread: it ends.
pub(crate) fn shut() {
    DOORS.with_borrow(|doors| doors.iter().for_each(|door| door.shut()));
}

/// Whether pending reports of a door keep the event loop alive.
pub(crate) fn keep_alive(env: &Env, number: u32, wanted: bool) -> napi::Result<()> {
    let Ok(door) = find(number) else { return Ok(()) };
    let state = door.state();
    let Some(function) = &state.function else { return Ok(()) };
    let change = if wanted { sys::napi_ref_threadsafe_function } else { sys::napi_unref_threadsafe_function };
    // SAFETY: the function is this environment's, and this its thread.
    check(unsafe { change(env.raw(), function.0) })
}
