//! Copies from and to memory that another thread or process may write at the same time.

use std::ptr::NonNull;

unsafe extern "C" {
    /// Of the C library, or of Rust's own runtime where there is none.
    fn memmove(target: *mut u8, source: *const u8, count: usize) -> *mut u8;
}

/// Copies `count` bytes that may change meanwhile. Source and target may overlap. The copy may mix old and new bytes:
/// the caller checks it afterwards, or accepts that.
///
/// A copy by Rust's own functions must not race with a write. This one may, because the compiler sees no Rust access in
/// it: a long copy is made by a function that the compiler does not know, and a short one by volatile accesses.
///
/// # Safety
///
/// `source` can be read, and `target` written, for `count` bytes. No Rust reference to any of these bytes is used
/// meanwhile, except the reference from which the pointer was made.
#[inline]
pub unsafe fn racy_copy(source: NonNull<u8>, target: NonNull<u8>, count: usize) {
    if count < LONG {
        // SAFETY: as the caller promises.
        return unsafe { copy_short(source, target, count) };
    }
    // SAFETY: the static lives for ever; read as volatile, it may be any function to the compiler.
    let copy = unsafe { (&raw const MEMMOVE).read_volatile() };
    // SAFETY: as the caller promises.
    unsafe { copy(target.as_ptr(), source.as_ptr(), count) };
}

static MEMMOVE: unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8 = memmove;

/// From here on a call of the C library costs less than two words.
const LONG: usize = 32;

/// The first and the last word of the largest kind that fits span all that is there, and may overlap.
///
/// # Safety
///
/// As [`racy_copy`], and `count` is less than [`LONG`].
#[inline(never)]
unsafe fn copy_short(source: NonNull<u8>, target: NonNull<u8>, count: usize) {
    match count {
        // SAFETY: by the contract; both words are inside, here and below.
        16.. => unsafe { both_ends::<u128>(source, target, count) },
        // SAFETY: as above.
        8.. => unsafe { both_ends::<u64>(source, target, count) },
        // SAFETY: as above.
        4.. => unsafe { both_ends::<u32>(source, target, count) },
        // SAFETY: as above.
        2.. => unsafe { both_ends::<u16>(source, target, count) },
        // SAFETY: as above.
        1 => unsafe { both_ends::<u8>(source, target, count) },
        0 => {}
    }
}

/// Copies the first and the last `T` of `count` bytes. All is read before anything is written, in case they overlap.
///
/// # Safety
///
/// As [`racy_copy`], and `count` is the size of one `T` to that of two; every value of its bytes is a `T`.
#[inline]
unsafe fn both_ends<T: Copy>(source: NonNull<u8>, target: NonNull<u8>, count: usize) {
    let last = count - size_of::<T>();
    // SAFETY: by the contract.
    let first_value: T = unsafe { read(source, 0) };
    // SAFETY: by the contract.
    let last_value: T = unsafe { read(source, last) };
    // SAFETY: by the contract.
    unsafe { write(target, 0, first_value) };
    // SAFETY: by the contract.
    unsafe { write(target, last, last_value) };
}

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Unaligned<T>(T);

/// # Safety
///
/// A `T` at byte offset `at` can be read; every value of its bytes is one.
#[inline]
unsafe fn read<T: Copy>(source: NonNull<u8>, at: usize) -> T {
    // SAFETY: by the contract.
    let place: NonNull<Unaligned<T>> = unsafe { source.add(at) }.cast();
    // SAFETY: by the contract.
    unsafe { place.read_volatile() }.0
}

/// # Safety
///
/// A `T` at byte offset `at` can be written.
#[inline]
unsafe fn write<T>(target: NonNull<u8>, at: usize, value: T) {
    // SAFETY: by the contract.
    let place: NonNull<Unaligned<T>> = unsafe { target.add(at) }.cast();
    // SAFETY: by the contract.
    unsafe { place.write_volatile(Unaligned(value)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_is_copied() {
        let source: Vec<u8> = (0..2000u32).map(|byte| byte as u8).collect();
        for length in (0..70).chain([511, 512, 513, 1900]) {
            for shift in 0..9 {
                let mut target = vec![0xee; 2000];
                let from = NonNull::from(&source[shift..]).cast();
                let to = NonNull::from(&mut target[3..]).cast();
                // SAFETY: both vectors are longer.
                unsafe { racy_copy(from, to, length) };
                assert_eq!(target[3..3 + length], source[shift..shift + length]);
                assert!(target[..3].iter().chain(&target[3 + length..]).all(|&byte| byte == 0xee));
            }
        }
    }

    #[test]
    fn overlapping_bytes_are_copied_as_if_they_did_not_overlap() {
        for length in [1, 7, 8, 20, 31, 32, 33, 500] {
            for (from, to) in [(0, 3), (3, 0), (0, 8), (9, 2)] {
                let mut bytes: Vec<u8> = (0..600u32).map(|byte| byte as u8).collect();
                let mut expected = bytes.clone();
                expected.copy_within(from..from + length, to);
                let start = NonNull::from(&mut bytes[..]).cast::<u8>();
                // SAFETY: inside the vector.
                let source = unsafe { start.add(from) };
                // SAFETY: inside the vector.
                let target = unsafe { start.add(to) };
                // SAFETY: both are inside, for `length` bytes.
                unsafe { racy_copy(source, target, length) };
                assert_eq!(bytes, expected);
            }
        }
    }
}
