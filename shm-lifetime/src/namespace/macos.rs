//! The boot: there are no namespaces, but the ledger outlives a reboot, which segments and processes do not.

use super::Namespaces;
use crate::{Entry, EntryName};
use std::ptr;

pub(super) fn ours() -> Namespaces {
    let boot = boot();
    Namespaces { ipc: boot, pid: boot }
}

/// Those of an earlier boot too: they are known to be gone.
pub(super) const fn has(ours: &Namespaces, entry: &Entry) -> bool {
    matches!(entry.name, EntryName::Name(_))
        || entry.namespace == ours.ipc
        || has_ended(ours, entry.namespace)
}

/// What was made before this boot is gone.
pub(super) const fn has_ended(ours: &Namespaces, ipc: u64) -> bool {
    ours.ipc != 0 && ipc != ours.ipc
}

/// FNV-1a, 64 bits, of `kern.bootsessionuuid`, which is drawn at each boot; 0 where it cannot be had.
fn boot() -> u64 {
    let mut text = [0_u8; 64];
    let mut len = text.len();
    let (name, value) = (c"kern.bootsessionuuid".as_ptr(), text.as_mut_ptr().cast());
    // SAFETY: it writes `len` bytes at the most, and how many that were to `len`.
    let failed = unsafe { libc::sysctlbyname(name, value, &raw mut len, ptr::null_mut(), 0) } != 0;
    if failed || len == 0 {
        return 0;
    }
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text[..len].iter().fold(0xcbf2_9ce4_8422_2325, fnv).max(1)
}
