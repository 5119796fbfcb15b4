//! Memory of JavaScript for numbers that JavaScript and the addon share.

use crate::failure::{Failure, check};
use napi::{Env, sys};
use std::ptr::{self, NonNull};

/// Words that JavaScript and the addon share.
#[derive(Debug)]
pub(crate) struct Shared {
    start: NonNull<i32>,
    reference: sys::napi_ref,
}

impl Shared {
    /// Makes `count` words, all 0, and their `ArrayBuffer`.
    pub(crate) fn new(env: &Env, count: usize) -> Result<(Self, sys::napi_value), Failure> {
        let (mut start, mut buffer, mut reference) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: an open scope, and places of ours.
        check(unsafe {
            sys::napi_create_arraybuffer(env.raw(), count * size_of::<i32>(), &raw mut start, &raw mut buffer)
        })?;
        // SAFETY: the value was just made. The reference keeps the memory until `release`, or the environment's end.
        check(unsafe { sys::napi_create_reference(env.raw(), buffer, 1, &raw mut reference) })?;
        let start = NonNull::new(start.cast()).ok_or_else(|| Failure::internal("no memory"))?;
        Ok((Self { start, reference }, buffer))
    }

    /// The place of one of the words. The creator of the array knows how many there are.
    #[inline]
    const fn at(&self, index: usize) -> NonNull<i32> {
        // SAFETY: inside the memory, by the above.
        unsafe { self.start.add(index) }
    }

    /// One of the words.
    #[inline]
    pub(crate) const fn get(&self, index: usize) -> i32 {
        // SAFETY: it is there, and JavaScript waits for us.
        unsafe { self.at(index).read() }
    }

    /// Changes one of the words.
    #[inline]
    pub(crate) const fn set(&self, index: usize, value: i32) {
        // SAFETY: as above.
        unsafe { self.at(index).write(value) };
    }

    /// Changes two of the words, from an even one on, to a double.
    #[inline]
    pub(crate) fn set_number(&self, index: usize, number: f64) {
        debug_assert!(index.is_multiple_of(2), "doubles are aligned");
        // SAFETY: as above; such memory is aligned to 8 bytes.
        unsafe { self.at(index).cast::<f64>().write(number) };
    }

    /// The first bytes.
    ///
    /// # Safety
    ///
    /// There are at least `count` bytes, and nobody writes to them meanwhile.
    #[inline]
    pub(crate) const unsafe fn bytes(&self, count: usize) -> &[u8] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), count) }
    }

    /// Changes the first bytes.
    ///
    /// # Safety
    ///
    /// There are at least as many bytes.
    pub(crate) const unsafe fn put(&self, bytes: &[u8]) {
        // SAFETY: the caller's promise; JavaScript waits for us, and what it gave us lies elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().cast(), bytes.len()) };
    }

    /// From now on, only JavaScript uses it.
    pub(crate) fn release(self, env: &Env) {
        // SAFETY: made in `new`, in this environment.
        unsafe { sys::napi_delete_reference(env.raw(), self.reference) };
    }
}
