//! Calls from JavaScript, by N-API itself: the code that the `napi` crate adds to a call takes longer than most of
//! these calls.

use super::table::Table;
use crate::failure::{Failure, check};
use napi::{Env, JsError, sys};
use std::{
    cell::RefCell,
    ffi::{CStr, c_void},
    ptr::{self, NonNull},
    time::Duration,
};

/// The functions that N-API calls. The data pointer of a function leads to the table.
pub(crate) type Entry = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// A call with up to `N` arguments. JavaScript's part of this library has checked what users gave it.
pub(crate) struct Call<const N: usize> {
    env: sys::napi_env,
    values: [sys::napi_value; N],
    /// How many arguments it was given.
    count: usize,
}

impl<const N: usize> Call<N> {
    pub(crate) fn env(&self) -> Env {
        Env::from_raw(self.env)
    }

    pub(crate) const fn value(&self, index: usize) -> sys::napi_value {
        self.values[index]
    }

    /// An argument as a 32-bit integer; 0 if it is not a number.
    #[inline]
    pub(crate) fn integer(&self, index: usize) -> i32 {
        let mut integer = 0;
        // SAFETY: a value of this call, and a place of ours.
        unsafe { sys::napi_get_value_int32(self.env, self.values[index], &raw mut integer) };
        integer
    }

    /// An argument as a boolean.
    pub(crate) fn flag(&self, index: usize) -> bool {
        let mut flag = false;
        // SAFETY: a value of this call, and a place of ours.
        unsafe { sys::napi_get_value_bool(self.env, self.values[index], &raw mut flag) };
        flag
    }

    /// The number of an object or an operation.
    #[inline]
    pub(crate) fn handle(&self, index: usize) -> usize {
        self.integer(index) as usize
    }

    /// An argument as a 32-bit number without a sign.
    #[inline]
    pub(crate) fn unsigned(&self, index: usize) -> u32 {
        self.integer(index).cast_unsigned()
    }

    /// An argument as a number; 0 if it is not one.
    #[inline]
    pub(crate) fn number(&self, index: usize) -> f64 {
        let mut number = 0.0;
        // SAFETY: a value of this call, and a place of ours.
        unsafe { sys::napi_get_value_double(self.env, self.values[index], &raw mut number) };
        number
    }

    /// An argument as a time limit, in milliseconds; `None`: no limit.
    #[inline]
    pub(crate) fn time(&self, index: usize) -> Option<Duration> {
        Duration::try_from_secs_f64(self.number(index) / 1000.0).ok()
    }

    /// The bytes of a `Uint8Array`; none if it was detached. They may be shared memory themselves.
    #[inline]
    pub(crate) fn bytes(&self, index: usize) -> (NonNull<u8>, usize) {
        let (mut length, mut start) = (0, ptr::null_mut());
        // SAFETY: a value of this call, and places of ours; what we do not ask for is null.
        unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                self.values[index],
                ptr::null_mut(),
                &raw mut length,
                &raw mut start,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        NonNull::new(start.cast()).map_or((NonNull::dangling(), 0), |start| (start, length))
    }

    /// Part of a `Uint8Array`, as three arguments: the array, where it begins, and how long it is at most. If the array
    /// is the last argument: all of it.
    #[inline]
    pub(super) fn part(&self, index: usize) -> (NonNull<u8>, usize) {
        if self.count == index + 1 {
            return self.bytes(index);
        }
        let ((start, length), at) = (self.bytes(index), self.handle(index + 1));
        match length.checked_sub(at) {
            // SAFETY: `at` is not beyond the array.
            Some(rest) => (unsafe { start.add(at) }, rest.min(self.handle(index + 2))),
            None => (NonNull::dangling(), 0),
        }
    }
}

/// A result of a call.
pub(crate) trait Answer {
    fn into_value(self, env: sys::napi_env) -> sys::napi_value;
}

impl Answer for () {
    fn into_value(self, _: sys::napi_env) -> sys::napi_value {
        ptr::null_mut()
    }
}

impl Answer for i32 {
    #[inline]
    fn into_value(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: the environment that calls, and a place of ours.
        unsafe { sys::napi_create_int32(env, self, &raw mut value) };
        value
    }
}

impl Answer for u32 {
    #[inline]
    fn into_value(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: the environment that calls, and a place of ours.
        unsafe { sys::napi_create_uint32(env, self, &raw mut value) };
        value
    }
}

impl Answer for f64 {
    #[inline]
    fn into_value(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: the environment that calls, and a place of ours.
        unsafe { sys::napi_create_double(env, self, &raw mut value) };
        value
    }
}

impl Answer for bool {
    fn into_value(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: the environment that calls, and a place of ours.
        unsafe { sys::napi_get_boolean(env, self, &raw mut value) };
        value
    }
}

impl Answer for sys::napi_value {
    fn into_value(self, _: sys::napi_env) -> sys::napi_value {
        self
    }
}

/// Several numbers become an array.
impl<const N: usize> Answer for [f64; N] {
    fn into_value(self, env: sys::napi_env) -> sys::napi_value {
        let mut array = ptr::null_mut();
        // SAFETY: the environment that calls, and a place of ours.
        unsafe { sys::napi_create_array_with_length(env, N, &raw mut array) };
        for (index, number) in self.into_iter().enumerate() {
            // SAFETY: values of this call.
            unsafe { sys::napi_set_element(env, array, index as u32, number.into_value(env)) };
        }
        array
    }
}

/// Runs a call. Its error is thrown.
///
/// # Safety
///
/// N-API calls, with a data pointer that leads to a table of this thread.
#[inline(always)]
pub(crate) unsafe fn enter<const N: usize, A: Answer>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    work: impl FnOnce(&mut Table, &Call<N>) -> Result<A, Failure>,
) -> sys::napi_value {
    let mut data = ptr::null_mut();
    let mut call = Call { env, values: [ptr::null_mut(); N], count: N };
    // SAFETY: N-API gave us both for this call, and the places are ours.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut call.count,
            call.values.as_mut_ptr(),
            ptr::null_mut(),
            &raw mut data,
        )
    };
    // SAFETY: by the caller's promise; it lives until the environment ends.
    let table = unsafe { &*data.cast::<RefCell<Table>>() };
    let answer = match table.try_borrow_mut() {
        Ok(mut table) => work(&mut table, &call),
        Err(_) => Err(Failure::internal("a call within a call")),
    };
    match answer {
        Ok(answer) => answer.into_value(env),
        Err(failure) => throw(env, failure),
    }
}

#[cold]
fn throw(env: sys::napi_env, failure: Failure) -> sys::napi_value {
    let error = failure.throw(&Env::from_raw(env));
    if error.status != napi::Status::PendingException {
        // SAFETY: the environment that calls.
        unsafe { JsError::from(error).throw_into(env) };
    }
    ptr::null_mut()
}

/// Functions by their names.
macro_rules! functions {
    ($($name:literal: $function:path,)*) => {
        &[$(($name, {
            unsafe extern "C" fn entry(
                env: napi::sys::napi_env,
                info: napi::sys::napi_callback_info,
            ) -> napi::sys::napi_value {
                // SAFETY: N-API calls it, with the table that `define` was given.
                unsafe { $crate::sync::call::enter(env, info, $function) }
            }
            entry
        }),)*]
    };
}
pub(crate) use functions;

/// Gives `exports` a function that has the table.
pub(crate) fn define(
    env: &Env,
    exports: sys::napi_value,
    table: NonNull<RefCell<Table>>,
    name: &CStr,
    entry: Entry,
) -> Result<(), Failure> {
    let mut function = ptr::null_mut();
    let data: *mut c_void = table.as_ptr().cast();
    // SAFETY: the name and the entry last, and so does the table until the environment ends.
    check(unsafe {
        sys::napi_create_function(
            env.raw(),
            name.as_ptr(),
            name.count_bytes() as isize,
            Some(entry),
            data,
            &raw mut function,
        )
    })?;
    // SAFETY: values of this scope.
    check(unsafe { sys::napi_set_named_property(env.raw(), exports, name.as_ptr(), function) })?;
    Ok(())
}
