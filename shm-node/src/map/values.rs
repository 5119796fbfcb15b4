//! Values: how each kind lies in a map, and how JavaScript gives and gets it. `docs/layout.md` has the table.

use crate::{
    failure::{Failure, check},
    sync::{
        call::{Answer, Call},
        shared::Shared,
    },
};
use napi::sys;
use shm_api::racy_copy;
use shm_map::{Found, Map};
use std::ptr::{self, NonNull};

/// Bytes, as a Buffer.
pub(super) const BUFFER: u8 = 0;
/// A double.
pub(super) const NUMBER: u8 = shm_map::NUMBER;
/// UTF-8.
pub(super) const STRING: u8 = 2;
/// A string that is not well-formed: UTF-16, little endian.
pub(super) const UTF16: u8 = 3;
pub(super) const NULL: u8 = 4;
pub(super) const FALSE: u8 = 5;
pub(super) const TRUE: u8 = 6;
/// Decimal digits.
pub(super) const BIGINT: u8 = 7;
/// Bytes, as a plain Uint8Array.
pub(super) const UINT8_ARRAY: u8 = 8;
/// JSON, in UTF-8.
pub(super) const JSON: u8 = 9;
/// The structured clone of V8.
pub(super) const V8: u8 = 10;

/// Instead of a value: there is no entry.
pub(super) const NONE: i32 = -1;
/// Instead of a value: its length, because there was no room.
pub(super) const LONG: i32 = -4;
/// It is what JavaScript knows already.
pub(super) const SAME: i32 = -5;

/// Where the further answers are: what the answer is, and the length of the key; then doubles.
pub(super) const KIND: usize = 0;
pub(super) const KEY_LENGTH: usize = 1;
pub(super) const VERSION: usize = 2;
pub(super) const EXPIRES: usize = 4;

/// The longest value that goes into the pool; longer ones have memory of their own.
pub(super) const POOLED: usize = 1 << 13;

/// Room in memory of JavaScript's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    start: NonNull<u8>,
    size: usize,
}

impl Room {
    /// All of some memory.
    pub(super) const fn over((start, size): (NonNull<u8>, usize)) -> Self {
        Self { start, size }
    }

    /// What lies behind so many bytes, as much as a value takes there.
    #[inline]
    pub(super) fn from(self, at: usize) -> Self {
        let at = at.min(self.size);
        // SAFETY: inside the memory, or at its end.
        let start = unsafe { self.start.add(at) };
        Self { start, size: (self.size - at).min(POOLED) }
    }

    /// Of three arguments: an array, where in it, and how much.
    pub(super) fn of<const N: usize>(call: &Call<N>, first: usize) -> Self {
        let (start, length) = call.bytes(first);
        let at = call.handle(first + 1).min(length);
        // SAFETY: inside the array, or at its end.
        let start = unsafe { start.add(at) };
        Self { start, size: call.handle(first + 2).min(length - at) }
    }

    /// Copies a value that fits.
    #[inline]
    pub(super) fn fill(self, source: NonNull<u8>, length: usize) {
        if length <= self.size {
            // SAFETY: the map has so many bytes, and so has the room. No reference spans either.
            unsafe { racy_copy(source, self.start, length) };
        }
    }

    pub(super) const fn has_room_for(self, found: &Found) -> bool {
        found.length <= self.size
    }
}

/// A value that was copied into `room`, for JavaScript: `out` says what the answer is.
#[inline]
pub(super) fn give(
    env: sys::napi_env,
    out: &Shared,
    found: &Found,
    room: Room,
) -> Result<sys::napi_value, Failure> {
    if !room.has_room_for(found) {
        out.set(KIND, LONG);
        return Ok((found.length as f64).into_value(env));
    }
    out.set(KIND, found.encoding.into());
    // SAFETY: the value was copied there. JavaScript, whose memory it is, waits for us; nobody else has it.
    let bytes = unsafe { std::slice::from_raw_parts(room.start.as_ptr(), found.length) };
    match found.encoding {
        BUFFER | UINT8_ARRAY | V8 => Ok((bytes.len() as u32).into_value(env)),
        NUMBER => Ok(bytes.try_into().map_or(f64::NAN, f64::from_le_bytes).into_value(env)),
        STRING | JSON | BIGINT => text(env, bytes),
        UTF16 => utf16(env, bytes),
        _ => Ok(ptr::null_mut()),
    }
}

fn text(env: sys::napi_env, bytes: &[u8]) -> Result<sys::napi_value, Failure> {
    // Faster to make where it is right.
    let make = if bytes.is_ascii() { sys::napi_create_string_latin1 } else { sys::napi_create_string_utf8 };
    let mut text = ptr::null_mut();
    // SAFETY: an open scope, so many bytes, and a place of ours.
    check(unsafe { make(env, bytes.as_ptr().cast(), bytes.len() as isize, &raw mut text) })?;
    Ok(text)
}

fn utf16(env: sys::napi_env, bytes: &[u8]) -> Result<sys::napi_value, Failure> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let mut text = ptr::null_mut();
    // SAFETY: as above.
    check(unsafe {
        sys::napi_create_string_utf16(env, units.as_ptr(), units.len() as isize, &raw mut text)
    })?;
    Ok(text)
}

/// The room that stays for values, so that one long value does not keep its memory.
const KEPT: usize = 1 << 20;

/// Puts a value of JavaScript's into `bytes`, as it is to lie in the map: of an encoding, and what JavaScript gives for
/// it. Of a value that is too long for the map, nothing is copied: there may be no memory for it.
#[inline]
pub(super) fn take<const N: usize>(
    map: &Map<'_>,
    bytes: &mut Vec<u8>,
    call: &Call<N>,
    encoding: u8,
    index: usize,
) -> Result<(), Failure> {
    bytes.clear();
    bytes.shrink_to(KEPT);
    match encoding {
        BUFFER | UINT8_ARRAY | V8 => {
            let (start, length) = call.bytes(index);
            map.check_value(length)?;
            bytes.reserve(length);
            let target = NonNull::from(&mut **bytes).cast();
            // SAFETY: so many bytes are there, and room for them. Other threads may write to the source.
            unsafe { racy_copy(start, target, length) };
            // SAFETY: they were just written.
            unsafe { bytes.set_len(length) };
        }
        NUMBER => bytes.extend_from_slice(&call.number(index).to_le_bytes()),
        STRING | JSON | BIGINT => take_text(map, bytes, call, index)?,
        UTF16 => take_utf16(map, bytes, call, index)?,
        _ => {}
    }
    Ok(())
}

fn take_text<const N: usize>(
    map: &Map<'_>,
    bytes: &mut Vec<u8>,
    call: &Call<N>,
    index: usize,
) -> Result<(), Failure> {
    let (env, value) = (call.env().raw(), call.value(index));
    let mut length = 0;
    // One byte more: a NUL comes last, and a text that fills all may be longer.
    bytes.reserve(1 << 10);
    loop {
        let room = bytes.capacity();
        // SAFETY: a value of this call, so much room, and a place of ours.
        check(unsafe {
            sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), room, &raw mut length)
        })?;
        // A character is cut off whole, and has four bytes at most.
        if length + 4 < room {
            // SAFETY: N-API has written so many.
            unsafe { bytes.set_len(length) };
            return Ok(());
        }
        // SAFETY: as above; without room it tells the length.
        check(unsafe { sys::napi_get_value_string_utf8(env, value, ptr::null_mut(), 0, &raw mut length) })?;
        map.check_value(length)?;
        bytes.reserve(length + 5);
    }
}

fn take_utf16<const N: usize>(
    map: &Map<'_>,
    bytes: &mut Vec<u8>,
    call: &Call<N>,
    index: usize,
) -> Result<(), Failure> {
    let (env, value) = (call.env().raw(), call.value(index));
    let mut length = 0;
    // SAFETY: a value of this call, and a place of ours; without room it tells the length.
    check(unsafe { sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &raw mut length) })?;
    map.check_value(2 * length)?;
    let mut units = vec![0_u16; length + 1];
    // SAFETY: as above, with so much room.
    check(unsafe {
        sys::napi_get_value_string_utf16(env, value, units.as_mut_ptr(), units.len(), &raw mut length)
    })?;
    units.truncate(length);
    bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
    Ok(())
}
