//! What is told of memory that this process does not use, whatever its bytes are.

use proptest::prelude::*;
use shm_sync::{
    inspect::{Held, State, describe, find},
    layout::{STRUCTURES, channel, mutex, owner_word},
};

/// Copies from bytes, and counts how often.
fn source<'b>(bytes: &'b [u8], calls: &'b mut usize) -> impl FnMut(usize, &mut [u8]) -> usize + 'b {
    |offset, target| {
        *calls += 1;
        let rest = bytes.get(offset..).unwrap_or_default();
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        count
    }
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Words that are a structure's beginning more often than not.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => Just(0),
        3 => (0..STRUCTURES.len()).prop_map(|index| STRUCTURES[index].magic()),
        1 => any::<u32>(),
        2 => 0..70u32,
        1 => (0..32u32).prop_map(|bit| 1 << bit),
        1 => (0..64u32).prop_map(|less| u32::MAX - less),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// `size` is what the segment is said to have, which may be more or less than there is by now.
    #[test]
    fn for_any_bytes_it_ends_and_reads_only_inside(
        words in proptest::collection::vec(word(), 0..1000),
        size in 0..5000usize,
        within in 0..5000usize,
    ) {
        let (bytes, mut calls) = (bytes_of(&words), 0);
        let found = find(&mut source(&bytes, &mut calls), size, within, 100);
        prop_assert!(calls <= 100 * 3 + 2, "each of a hundred is looked at by three calls at the most");
        let mut end = 0;
        for one in found {
            prop_assert!(one.offset >= end && one.offset < within);
            end = one.offset + one.size;
            prop_assert!(one.size > 0 && end <= size);
        }
        for offset in 0..50 {
            describe(&mut source(&bytes, &mut calls), size, offset);
        }
        describe(&mut source(&bytes, &mut calls), usize::MAX, usize::MAX);
    }
}

#[test]
fn a_structure_without_a_live_file_misplaced_or_cut_off_is_not_recognised() {
    let mut words = [0; 400];
    words[0] = mutex::STRUCTURE.magic();
    words[2] = 7 | owner_word::WAITERS;
    let mut calls = 0;
    let mut found = |words: &[u32], size| {
        let bytes = bytes_of(words);
        find(&mut source(&bytes, &mut calls), size, 1600, 10)
    };
    assert_eq!(found(&words, 1600), [], "nobody has made it");
    words[1] = 1;
    let held = Held { owner: Some(shm_sync::Owner::from_word(7)), has_waiters: true, owner_died: false };
    assert_eq!(found(&words, 1600)[0].state, State::Mutex(held));
    assert_eq!(found(&words, 15), []);

    let channel = [channel::STRUCTURE.magic(), 1, 64, 1];
    words = [0; 400];
    words[16..20].copy_from_slice(&channel);
    assert_eq!(found(&words, 1600).len(), 1);
    assert_eq!(found(&words, 64 + 512 + 63), [], "its ring is cut off");
    words[18] = 65;
    assert_eq!(found(&words, 1600), [], "that is no capacity");
    words = [0; 400];
    words[15..19].copy_from_slice(&channel);
    assert_eq!(found(&words, 1600), [], "no channel lies there");
}
