//! Which section this process has mapped where. So a word has one name in all processes that share it.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ptr::NonNull,
    sync::{PoisonError, RwLock},
};

/// The keys are the addresses at which they begin.
static MAPPED: RwLock<BTreeMap<NonZeroUsize, Mapped>> = RwLock::new(BTreeMap::new());

struct Mapped {
    len: usize,
    section: u64,
}

/// The place of a byte in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The hash of the section's name.
    pub section: u64,
    /// From the section's start.
    pub offset: usize,
}

/// The section of this name is mapped there, from its start on.
pub fn enter(start: NonNull<u8>, len: usize, name: &[u16]) {
    let mapped = Mapped { len, section: hash(name) };
    MAPPED.write().unwrap_or_else(PoisonError::into_inner).insert(start.addr(), mapped);
}

/// It will not be mapped there any longer.
pub fn leave(start: NonNull<u8>) {
    MAPPED.write().unwrap_or_else(PoisonError::into_inner).remove(&start.addr());
}

/// Returns the place of an address; `None` if it lies in no section that was entered.
pub fn place_of(address: NonZeroUsize) -> Option<Place> {
    let mapped = MAPPED.read().unwrap_or_else(PoisonError::into_inner);
    let (start, Mapped { len, section }) = mapped.range(..=address).next_back()?;
    let offset = address.get() - start.get();
    (offset < *len).then_some(Place { section: *section, offset })
}

/// FNV-1a, which is the same in each program and each build.
fn hash(name: &[u16]) -> u64 {
    let bytes = name.iter().flat_map(|unit| unit.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: usize) -> NonNull<u8> {
        NonNull::without_provenance(NonZeroUsize::new(address).unwrap())
    }

    #[test]
    fn a_byte_of_a_section_has_one_place_wherever_it_is_mapped() {
        let (one, other) = (at(1 << 40), at(1 << 41));
        let place = |start: NonNull<u8>, offset| place_of(start.addr().checked_add(offset).unwrap());
        enter(one, 4096, &[1, 2]);
        enter(other, 4096, &[1, 2]);
        assert_eq!(place(one, 4095).unwrap(), place(other, 4095).unwrap());
        assert_ne!(place(one, 1), place(one, 2));
        assert_eq!(place(one, 4096), None);
        enter(other, 4096, &[1, 3]);
        assert_ne!(place(one, 0), place(other, 0));
        leave(one);
        assert_eq!(place(one, 0), None);
        leave(other);
    }
}
