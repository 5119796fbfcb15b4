//! The ways from other threads into an environment: what ended there is told to JavaScript.
//!
//! Each copy of the JavaScript has a door of its own, and there may be several in one thread: two bundles, a module
//! registry that was reset, the package installed twice. A door is one threadsafe function. What it tells of is named
//! by a slot that JavaScript chose, free until it has heard.

use crate::failure::{Failure, check};
use napi::{Env, sys};
use std::{
    cell::RefCell,
    ffi::c_void,
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

thread_local! {
    /// The doors of this thread, by their numbers.
    static DOORS: RefCell<Vec<Arc<Door>>> = const { RefCell::new(Vec::new()) };
}

/// A way from the threads of the library into an environment, shut before the environment ends.
#[derive(Debug, Default)]
pub(crate) struct Door(Mutex<Option<Function>>);

#[derive(Debug)]
struct Function(sys::napi_threadsafe_function);

// SAFETY: being called from any thread is what it is for.
unsafe impl Send for Function {}

/// How what is told is laid out: 17 bits of slot above 15 bits of how it ended. A pointer of any system has room.
const HOW_BITS: u32 = 15;
const HOW: usize = (1 << HOW_BITS) - 1;

impl Door {
    /// Calls JavaScript with a slot and how it ended; may be called from any thread.
    pub(crate) fn tell(&self, slot: u32, how: u16) {
        let function = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(function) = &*function else { return };
        let data = ptr::without_provenance_mut((slot as usize) << HOW_BITS | how as usize & HOW);
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
    unsafe { sys::napi_create_uint32(env, (data >> HOW_BITS) as u32, &raw mut slot) };
    // SAFETY: as above.
    unsafe { sys::napi_create_uint32(env, (data & HOW) as u32, &raw mut how) };
    // SAFETY: as above.
    unsafe { sys::napi_get_undefined(env, &raw mut nothing) };
    let arguments = [slot, how];
    // SAFETY: values of this scope. What it throws, Node takes up when we return.
    unsafe { sys::napi_call_function(env, nothing, callback, 2, arguments.as_ptr(), ptr::null_mut()) };
}

unsafe extern "C" fn finalize(_env: sys::napi_env, door: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `open` gave it a share, and this runs once.
    let door = unsafe { Arc::from_raw(door.cast::<Door>()) };
    door.shut();
}

/// Opens a door, and gives its number: `callback(slot, how)` is called for what is told through it.
pub(crate) fn open(env: &Env, callback: sys::napi_value) -> napi::Result<u32> {
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
    let number = DOORS.with_borrow_mut(|doors| {
        doors.push(door.clone());
        doors.len() - 1
    });
    // Hooks run in the reverse order of their making: this one before Node's, which frees the function.
    env.add_env_cleanup_hook(door, |door| door.shut())?;
    Ok(number as u32)
}

/// A door of this thread.
pub(crate) fn find(number: u32) -> Result<Arc<Door>, Failure> {
    let door = DOORS.with_borrow(|doors| doors.get(number as usize).cloned());
    door.ok_or_else(|| Failure::internal("no such door"))
}

/// No more is told to this thread: it ends.
pub(crate) fn shut() {
    DOORS.with_borrow(|doors| doors.iter().for_each(|door| door.shut()));
}

/// Whether what is to be told through a door keeps the event loop alive.
pub(crate) fn keep_alive(env: &Env, number: u32, wanted: bool) -> napi::Result<()> {
    let Ok(door) = find(number) else { return Ok(()) };
    let function = door.0.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(function) = &*function else { return Ok(()) };
    let change = if wanted { sys::napi_ref_threadsafe_function } else { sys::napi_unref_threadsafe_function };
    // SAFETY: the function is this environment's, and this its thread.
    check(unsafe { change(env.raw(), function.0) })
}
