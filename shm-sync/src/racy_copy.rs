//! Copies between memory of ours and memory that another process may write at the same time. What was copied
//! may be torn; whoever calls checks afterwards. The compiler is not told of the race: it sees an assembly
//! instruction, or volatile accesses.

use std::ptr::NonNull;

/// Copies `count` bytes.
///
/// # Safety
///
/// `source` can be read, and `target` written, for as many bytes; they do not overlap, and one of them is
/// reached by this thread only.
#[inline]
pub(crate) unsafe fn racy_copy(source: NonNull<u8>, target: NonNull<u8>, count: usize) {
    #[cfg(target_arch = "x86_64")]
    if count >= LONG {
        // SAFETY: as the caller promises; the direction flag is clear by the calling convention.
        unsafe {
            std::arch::asm!(
                "rep movsb",
                inout("rcx") count => _,
                inout("rsi") source.as_ptr() => _,
                inout("rdi") target.as_ptr() => _,
                options(nostack, preserves_flags),
            );
        }
        return;
    }
    let mut at = 0;
    while count - at >= 8 {
        // SAFETY: eight bytes from `at` on are inside.
        unsafe { copy_volatile::<u64>(source, target, at) };
        at += 8;
    }
    while at < count {
        // SAFETY: the byte at `at` is inside.
        unsafe { copy_volatile::<u8>(source, target, at) };
        at += 1;
    }
}

#[cfg(target_arch = "x86_64")]
const LONG: usize = 512;

/// # Safety
///
/// A `T` at byte offset `at` is inside both, as for [`racy_copy`].
#[inline]
unsafe fn copy_volatile<T>(source: NonNull<u8>, target: NonNull<u8>, at: usize) {
    #[repr(C, packed)]
    struct Unaligned<T>(T);
    // SAFETY: by the contract.
    let source: NonNull<Unaligned<T>> = unsafe { source.add(at) }.cast();
    // SAFETY: by the contract.
    let target: NonNull<Unaligned<T>> = unsafe { target.add(at) }.cast();
    // SAFETY: by the contract, and integers have no invalid values.
    let value = unsafe { source.read_volatile() };
    // SAFETY: by the contract.
    unsafe { target.write_volatile(value) };
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
}
