//! Segments that were cut off under this process: what JavaScript asks about them. The handler that survives it, and
//! marks the mapping, is `shm_lifetime::shrink`'s.

use crate::{
    attachments::{self, Number},
    backends::{AnySegment, BackendId, survive},
    failure::{Failure, check, or_throw},
    values::{JsKey, from_key},
};
use napi::{Env, Status, bindgen_prelude::Result, sys};
use napi_derive::napi;
use shm_lifetime::shrink;
use std::{ptr, sync::atomic::AtomicU32};

/// Survives a touch of what is cut off from a segment of this backend, from now on.
pub(crate) fn arm(backend: BackendId) {
    if backend.can_shrink() {
        // Without it, such a touch ends the process, as it always did.
        let _ = survive();
    }
}

/// Fails where an attached segment was cut off.
pub(crate) fn check_sound(segment: &AnySegment) -> std::result::Result<(), Failure> {
    if segment.is_shrunk() { Err(Failure::shrunk(segment.key())) } else { Ok(()) }
}

/// How many mappings of this process were cut off so far, in memory that the handler counts in: an `ArrayBuffer` of 4
/// bytes. `None`: this runtime does not let a buffer share memory, and so has no views.
#[napi(ts_return_type = "ArrayBuffer | null")]
pub fn shrink_counter(env: Env) -> Result<Option<Counter>> {
    let mut buffer = ptr::null_mut();
    let memory = shrink::shrinks().as_ptr();
    // SAFETY: the memory is static, and the library stays loaded; there is nothing to free.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env.raw(),
            memory.cast(),
            size_of::<AtomicU32>(),
            None,
            ptr::null_mut(),
            &raw mut buffer,
        )
    };
    if Status::from(status) == Status::NoExternalBuffersAllowed {
        return Ok(None);
    }
    check(status)?;
    Ok(Some(Counter(buffer)))
}

/// The `ArrayBuffer` of [`shrink_counter`].
#[derive(Debug)]
pub struct Counter(sys::napi_value);

impl napi::bindgen_prelude::ToNapiValue for Counter {
    unsafe fn to_napi_value(_env: sys::napi_env, counter: Self) -> Result<sys::napi_value> {
        Ok(counter.0)
    }
}

/// Throws if an attachment was cut off; does nothing for one that has ended.
#[napi]
pub fn check_shrunk(env: Env, number: Number) -> Result<()> {
    or_throw(env, || attachments::with_segment(number, check_sound).unwrap_or(Ok(())))
}

/// The keys of this thread's attachments that were cut off since the last time.
#[napi]
pub fn newly_shrunk() -> Vec<JsKey> {
    attachments::newly_shrunk().iter().map(from_key).collect()
}
