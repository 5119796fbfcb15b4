//! libuv, where the runtime is built on it and lets addons have it: its symbols are looked up.

use napi::{Env, bindgen_prelude::JsObjectValue, sys};
use std::{
    ffi::{CStr, c_int, c_void},
    mem,
    os::fd::RawFd,
    ptr::{self, NonNull},
    sync::LazyLock,
};

type Handle = *mut c_void;
type Loop = *mut c_void;

// uv.h, whose numbers do not change.
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

/// The functions that we use, as N-API's and libuv's documentation have them.
macro_rules! symbols {
    ($($name:ident $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) struct Libuv {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        static LIBUV: LazyLock<Option<Libuv>> = LazyLock::new(|| {
            Some(Libuv {
                // SAFETY: its documentation gives this type.
                $($name: unsafe { symbol($symbol) }?,)*
            })
        });
    };
}

symbols! {
    event_loop c"napi_get_uv_event_loop": fn(sys::napi_env, *mut Loop) -> sys::napi_status;
    handle_size c"uv_handle_size": fn(c_int) -> usize;
    set_data c"uv_handle_set_data": fn(Handle, *mut c_void);
    get_data c"uv_handle_get_data": fn(Handle) -> *mut c_void;
    poll_init c"uv_poll_init": fn(Loop, Handle, c_int) -> c_int;
    poll_start c"uv_poll_start": fn(Handle, c_int, unsafe extern "C" fn(Handle, c_int, c_int)) -> c_int;
    unref c"uv_unref": fn(Handle);
    close c"uv_close": fn(Handle, unsafe extern "C" fn(Handle));
}

/// # Safety
///
/// `F` is the type of pointers to the function of that name.
unsafe fn symbol<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>(), "a pointer to a function") };
    // SAFETY: the name ends with a zero.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: of one size, and by the caller's promise it is such a function.
    (!address.is_null()).then(|| unsafe { mem::transmute_copy(&address) })
}

/// A descriptor that is watched.
struct Watch {
    libuv: &'static Libuv,
    // libuv's, from `poll_init` until `closed`.
    handle: NonNull<[u128]>,
    ready: Box<dyn Fn()>,
    // Tells the environment that it need not wait for us any more.
    hook: sys::napi_async_cleanup_hook_handle,
}

impl Watch {
    const fn handle(&self) -> Handle {
        self.handle.as_ptr().cast()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: `watch` made it so, and libuv has closed it or never had it.
        drop(unsafe { Box::from_raw(self.handle.as_ptr()) });
    }
}

impl Libuv {
    /// `None` if the runtime is not built on libuv. (Bun has had functions of these names that end the process, and
    /// Deno has some of its own making.)
    pub(super) fn of(env: &Env) -> Option<&'static Self> {
        let global = env.get_global().ok()?;
        let is_other = |name| global.has_named_property(name).unwrap_or(true);
        if is_other("Bun") || is_other("Deno") {
            return None;
        }
        LIBUV.as_ref()
    }

    /// Calls `ready` in the environment's loop while a descriptor can be read, until the environment ends. It does not
    /// keep the loop alive. `false`: it cannot be done.
    ///
    /// # Safety
    ///
    /// The descriptor stays open until `ready` is dropped.
    pub(super) unsafe fn watch(&'static self, env: &Env, descriptor: RawFd, ready: Box<dyn Fn()>) -> bool {
        let mut event_loop = ptr::null_mut();
        // SAFETY: the environment of this thread, and a place of ours.
        let status = unsafe { (self.event_loop)(env.raw(), &raw mut event_loop) };
        if status != sys::Status::napi_ok || event_loop.is_null() {
            return false;
        }
        // SAFETY: it only tells a size.
        let size = unsafe { (self.handle_size)(UV_POLL) };
        let room: Box<[u128]> = vec![0; size.div_ceil(size_of::<u128>())].into();
        let handle = NonNull::from(Box::leak(room));
        let mut watch = Box::new(Watch { libuv: self, handle, ready, hook: ptr::null_mut() });
        let handle = watch.handle();
        // SAFETY: this thread runs the loop, and the handle has room and is not in use.
        if unsafe { (self.poll_init)(event_loop, handle, descriptor) } != 0 {
            return false;
        }
        let data: *mut Watch = &raw mut *watch;
        mem::forget(watch); // `closed` drops it
        // SAFETY: the handle is initialised.
        unsafe { (self.set_data)(handle, data.cast()) };
        // SAFETY: as above.
        unsafe { (self.unref)(handle) };
        // SAFETY: as above; `readable` finds the data of above.
        let started = unsafe { (self.poll_start)(handle, UV_READABLE, readable) };
        // SAFETY: the data lives until `closed`, which `end` brings about, and nobody else has a reference yet.
        let hook = unsafe { &raw mut (*data).hook };
        // SAFETY: the environment of this thread; `end` gets the data.
        let hooked = || unsafe { sys::napi_add_async_cleanup_hook(env.raw(), Some(end), data.cast(), hook) };
        let watches = started == 0 && hooked() == sys::Status::napi_ok;
        if !watches {
            // SAFETY: it is initialised and not closing.
            unsafe { (self.close)(handle, closed) };
        }
        watches
    }
}

unsafe extern "C" fn readable(handle: Handle, _status: c_int, _events: c_int) {
    let Some(libuv) = &*LIBUV else { return };
    // SAFETY: libuv calls this with a handle of ours that is open.
    let watch = unsafe { (libuv.get_data)(handle) }.cast::<Watch>();
    // SAFETY: it lives until `closed`, which libuv calls in this thread, later.
    (unsafe { &(*watch).ready })();
}

/// The environment ends, and waits for us.
unsafe extern "C" fn end(_: sys::napi_async_cleanup_hook_handle, watch: *mut c_void) {
    // SAFETY: it lives until `closed`.
    let watch = unsafe { &*watch.cast::<Watch>() };
    // SAFETY: the handle is open, and this is its loop's thread.
    unsafe { (watch.libuv.close)(watch.handle(), closed) };
}

unsafe extern "C" fn closed(handle: Handle) {
    let Some(libuv) = &*LIBUV else { return };
    // SAFETY: the handle's memory is ours again, with our data in it.
    let watch = unsafe { (libuv.get_data)(handle) }.cast::<Watch>();
    // SAFETY: `watch` forgot it, and nobody comes here again.
    let watch = unsafe { Box::from_raw(watch) };
    let hook = watch.hook;
    drop(watch);
    if !hook.is_null() {
        // SAFETY: the environment waits for this.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    }
}
