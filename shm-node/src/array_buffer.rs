//! Memory as an `ArrayBuffer`, and when its addresses may go.
//!
//! Detaching lets go of the segment in place: the addresses stay, now private memory. They may be unmapped only
//! when two finalizers have run. The one of the external memory alone is too early, for libuv may still read
//! or write through a `Buffer` that JavaScript has dropped; the one of the `ArrayBuffer` object alone is too
//! early too, for `ArrayBuffer.prototype.transfer` moves the memory to another object. Each holds a share of
//! the [`Addresses`], and so does the attachment; the last to go unmaps them. They are those of the whole segment,
//! whatever part of it the buffer spans.

use crate::{
    backends::AddressRange,
    failure::{Failure, check},
};
use napi::{Env, Status, sys};
use std::{
    ffi::c_void,
    ptr::{self, NonNull},
    sync::{Arc, OnceLock},
};

/// The bare addresses of a segment, once it is let go.
pub(crate) type Addresses = Arc<OnceLock<AddressRange>>;

/// An `ArrayBuffer` over a segment, held strongly: a view that is collected must not take away a segment whose
/// key was just sent to another process.
#[derive(Debug)]
pub(crate) struct SharedBuffer {
    reference: sys::napi_ref,
    addresses: Addresses,
}

impl SharedBuffer {
    /// # Safety
    ///
    /// `size` bytes from `start` on lie in an attached segment, and it is let go in place only, into
    /// [`Self::detach`] or [`Self::abandon`].
    pub(crate) unsafe fn new(env: Env, start: NonNull<u8>, size: usize) -> Result<Self, Failure> {
        // SAFETY: by the caller's promise.
        unsafe { Self::over(env, start, size, Addresses::default()) }
    }

    /// Makes another one, because `transfer()` has moved the memory of this one to an object that is not known here.
    ///
    /// # Safety
    ///
    /// As for [`Self::new`].
    pub(crate) unsafe fn renewed(&self, env: Env, start: NonNull<u8>, size: usize) -> Result<Self, Failure> {
        // SAFETY: by the caller's promise.
        let renewed = unsafe { Self::over(env, start, size, self.addresses.clone()) }?;
        // SAFETY: made in `over`, and its owner replaces it by the new one.
        check(unsafe { sys::napi_delete_reference(env.raw(), self.reference) })?;
        Ok(renewed)
    }

    /// # Safety
    ///
    /// As for [`Self::new`].
    unsafe fn over(env: Env, start: NonNull<u8>, size: usize, addresses: Addresses) -> Result<Self, Failure> {
        let (external, object) = (share(&addresses), share(&addresses));
        let mut buffer = ptr::null_mut();
        // SAFETY: the memory is mapped until both finalizers have run, by the caller's promise and `Addresses`.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env.raw(),
                start.as_ptr().cast(),
                size,
                Some(finalize_external),
                external,
                &raw mut buffer,
            )
        };
        if Status::from(status) == Status::NoExternalBuffersAllowed {
            for unused in [external, object] {
                // SAFETY: `share` made it, and N-API took neither.
                drop(unsafe { Addresses::from_raw(unused.cast()) });
            }
            return Err(Failure::Ours(
                "ERR_SHM_NO_EXTERNAL_BUFFERS",
                "This runtime does not let a buffer share memory (Electron does not): pass `view: false` to the `create` \
                 and `get` of shm-node, and copy with its `read(key, offset, target)` and `write(key, offset, source)`"
                    .into(),
            ));
        }
        check(status)?;
        // SAFETY: `buffer` is the ArrayBuffer just made; the finalizer owns its share.
        check(unsafe {
            sys::napi_add_finalizer(
                env.raw(),
                buffer,
                object,
                Some(finalize_object),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        let mut reference = ptr::null_mut();
        // SAFETY: as above; the reference is deleted in `detach`, or with the environment.
        check(unsafe { sys::napi_create_reference(env.raw(), buffer, 1, &raw mut reference) })?;
        Ok(Self { reference, addresses })
    }

    /// The `ArrayBuffer`.
    pub(crate) fn value(&self, env: Env) -> Result<sys::napi_value, Failure> {
        let mut value = ptr::null_mut();
        // SAFETY: the reference lives until `detach`.
        check(unsafe { sys::napi_get_reference_value(env.raw(), self.reference, &raw mut value) })?;
        Ok(value)
    }

    /// Whether JavaScript has emptied it.
    pub(crate) fn is_moved(&self, env: Env) -> Result<bool, Failure> {
        let (value, mut is_detached) = (self.value(env)?, false);
        // SAFETY: a value of this environment, and a place of ours.
        check(unsafe { sys::napi_is_detached_arraybuffer(env.raw(), value, &raw mut is_detached) })?;
        Ok(is_detached)
    }

    /// Makes every view of it empty. The segment was let go into `range`.
    pub(crate) fn detach(self, env: Env, range: AddressRange) -> Result<(), Failure> {
        let _ = self.addresses.set(range); // set once, as this takes `self`
        let value = self.value(env)?;
        // `transfer()` may have emptied it already; then this changes nothing.
        // SAFETY: an ArrayBuffer of this environment.
        let detached = unsafe { sys::napi_detach_arraybuffer(env.raw(), value) };
        // SAFETY: made in `new`, and deleted here only.
        check(unsafe { sys::napi_delete_reference(env.raw(), self.reference) })?;
        match Status::from(detached) {
            Status::Ok | Status::DetachableArraybufferExpected | Status::InvalidArg => Ok(()),
            status => Err(Failure::internal(&format!("napi_detach_arraybuffer said {status}"))),
        }
    }

    /// Lets go of one that JavaScript never got. It is not emptied but left to the garbage collector, because emptying
    /// ends the process while V8 terminates the thread.
    pub(crate) fn forget(self, env: Env, range: AddressRange) {
        let _ = self.addresses.set(range);
        // SAFETY: made in `over`, and deleted here only; what it answers changes nothing.
        unsafe { sys::napi_delete_reference(env.raw(), self.reference) };
    }

    /// Lets go of it where the environment ends: no JavaScript will look at it again.
    pub(crate) fn abandon(self, range: AddressRange) {
        let _ = self.addresses.set(range);
    }
}

fn share(addresses: &Addresses) -> *mut c_void {
    Addresses::into_raw(addresses.clone()).cast_mut().cast()
}

extern "C" fn finalize_external(_env: sys::napi_env, _memory: *mut c_void, share: *mut c_void) {
    // SAFETY: `share` made it, and this finalizer runs once.
    drop(unsafe { Addresses::from_raw(share.cast()) });
}

extern "C" fn finalize_object(_env: sys::napi_env, share: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `share` made it, and this finalizer runs once.
    drop(unsafe { Addresses::from_raw(share.cast()) });
}
