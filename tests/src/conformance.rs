//! What every backend promises, as functions over any of them.
//!
//! [`conformance!`](crate::conformance!) makes a `#[test]` of each. The suites after the first are for the
//! abilities that a backend has beyond [`Backend`].

#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "each function is the claim that its name makes"
)]

use shm_api::{
    Access, AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld,
    Detached, Key, LeaveAtEnd, List, Mode, Peek, Segment, State, Sweep,
};
use std::{
    cell::Cell,
    collections::BTreeSet,
    mem,
    num::NonZeroUsize,
    process,
    sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

/// Makes a module of tests: `conformance! { heap, Heap::default(); base list }`.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $backend:expr; $($suite:ident)+) => {
        mod $module {
            use super::*;
            $($crate::conformance! { @$suite $backend })+
        }
    };
    (@base $backend:expr) => { $crate::conformance! { @tests $backend;
        a_segment_is_exactly_as_large_as_asked_and_all_zero
        a_segment_starts_at_least_on_a_cache_line
        create_refuses_a_key_that_is_taken
        a_create_that_fails_leaves_nothing
        attach_finds_the_same_bytes
        a_key_that_nobody_created_is_not_found
        keys_do_not_disturb_each_other
        destroy_leaves_holders_their_memory_and_frees_the_key
        an_old_holder_does_not_harm_the_next_segment_of_its_key
        the_last_detach_destroys
        a_detach_after_destroy_says_gone
        dropping_a_segment_detaches_it
        info_tells_what_was_asked_for
        info_tells_of_the_last_holder_leaving
        is_current_follows_the_key
        reads_and_writes_stop_at_the_end
        an_atomic_fits_inside_and_is_aligned_or_is_none
        atomics_of_two_attachments_are_one
        letting_go_in_place_leaves_at_once_and_keeps_the_addresses
        who_keeps_the_addresses_only_is_no_holder
        letting_go_waits_for_others_only_as_long_as_one_is_about_to_leave
        a_sole_holder_lets_go_without_waiting
        random_keys_differ
        threads_attach_and_detach_one_key
        threads_that_create_one_key_make_one_segment
        a_segment_is_used_and_left_by_other_threads
    } };
    (@persist $backend:expr) => { $crate::conformance! { @tests $backend;
        a_persistent_segment_stays_until_it_is_destroyed
    } };
    (@list $backend:expr) => { $crate::conformance! { @tests $backend;
        a_listing_shows_a_segment_as_info_does
        a_listing_is_in_the_order_of_the_keys
        a_listing_leaves_out_what_was_destroyed
    } };
    (@read_only $backend:expr) => { $crate::conformance! { @tests $backend;
        a_read_only_attachment_sees_writes
        a_write_through_a_read_only_attachment_stays_private
        a_read_only_holder_is_a_holder
        a_missing_key_is_not_found_read_only_either
    } };
    (@peek $backend:expr) => { $crate::conformance! { @tests $backend;
        a_peek_copies_as_much_as_there_is
        a_peek_takes_nothing_and_keeps_nothing
        a_segment_goes_with_its_last_holder_while_others_peek
    } };
    (@sweep $backend:expr) => { $crate::conformance! { @tests $backend;
        a_sweep_leaves_what_is_held
        a_sweep_leaves_what_persists
    } };
    (@unheld $backend:expr) => { $crate::conformance! { @tests $backend;
        what_is_held_is_not_destroyed_as_unheld
        what_nobody_holds_is_destroyed_though_it_persists
    } };
    (@kernel $backend:expr) => { $crate::conformance! { @tests $backend;
        addresses_that_were_let_go_read_zeros_and_reach_nobody
        letting_go_waits_for_the_others_of_what_it_created
        leaving_in_a_signal_handler_leaves_at_once
        a_mode_is_what_was_asked
        a_sparse_segment_is_as_large_and_as_zero
        huge_pages_change_nothing_but_speed
        populating_maps_every_page
    } };
    (@tests $backend:expr; $($name:ident)+) => {$(
        #[test]
        fn $name() {
            $crate::conformance::$name(&$backend);
        }
    )+};
}

fn options(size: usize) -> CreateOptions {
    CreateOptions::new(NonZeroUsize::new(size).expect("not 0"))
}

fn fresh() -> Key {
    Key::id(crate::fresh_id()).expect("bit 31 is set")
}

fn all<S: Segment>(segment: &S) -> Vec<u8> {
    let mut bytes = vec![0xee; segment.size().get()];
    assert_eq!(segment.read(0, &mut bytes), bytes.len());
    bytes
}

#[track_caller]
fn assert_missing<B: Backend>(backend: &B, key: &Key) {
    assert_eq!(backend.attach(key).unwrap_err(), AttachError::NotFound { key: key.clone() });
    assert_eq!(backend.info(key).unwrap_err(), AttachError::NotFound { key: key.clone() });
}

fn outlives(detached: Detached) -> bool {
    matches!(detached, Detached::Outlives(_))
}

pub fn a_segment_is_exactly_as_large_as_asked_and_all_zero<B: Backend>(backend: &B) {
    for size in [1, 7, 4095, 4096, 4097, 1 << 20] {
        let key = fresh();
        let segment = backend.create(&key, &options(size)).unwrap();
        assert_eq!((segment.size().get(), segment.key(), segment.access()), (size, &key, Access::ReadWrite));
        assert_eq!(backend.info(&key).unwrap().size, size as u64);
        assert!(all(&segment).iter().all(|byte| *byte == 0));
        let other = backend.attach(&key).unwrap();
        assert_eq!((other.size().get(), other.key(), other.access()), (size, &key, Access::ReadWrite));
    }
}

pub fn a_segment_starts_at_least_on_a_cache_line<B: Backend>(backend: &B) {
    let segments: Vec<_> = (1..20).map(|size| backend.create(&fresh(), &options(size)).unwrap()).collect();
    assert!(segments.iter().all(|segment| segment.as_ptr().addr().get().is_multiple_of(64)));
}

pub fn create_refuses_a_key_that_is_taken<B: Backend>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(100)).unwrap();
    segment.write(0, b"first");
    let taken = CreateError::Exists { key: key.clone() };
    assert_eq!(backend.create(&key, &options(100)).unwrap_err(), taken);
    assert_eq!(backend.create(&key, &options(200).persist(true)).unwrap_err(), taken);
    assert_eq!(&all(&segment)[..5], b"first");
    assert!(segment.is_current());
    assert_eq!(segment.detach(), Detached::Destroyed);
}

pub fn a_create_that_fails_leaves_nothing<B: Backend>(backend: &B) {
    let key = fresh();
    for size in [1 << 60, isize::MAX as usize, usize::MAX] {
        let error = backend.create(&key, &options(size)).unwrap_err();
        assert!(matches!(error, CreateError::Os(_)), "{error:?}");
        assert!(error.to_string().contains("Ask"), "it says what to do: {error}");
        assert_missing(backend, &key);
    }
    assert_eq!(backend.create(&key, &options(1)).unwrap().detach(), Detached::Destroyed);
}

pub fn attach_finds_the_same_bytes<B: Backend>(backend: &B) {
    let key = fresh();
    let one = backend.create(&key, &options(9000)).unwrap();
    one.write(8990, b"0123456789");
    let other = backend.attach(&key).unwrap();
    assert_eq!(&all(&other)[8990..], b"0123456789");
    other.write(0, b"back");
    assert_eq!(&all(&one)[..4], b"back");
}

pub fn a_key_that_nobody_created_is_not_found<B: Backend>(backend: &B) {
    let key = fresh();
    assert_missing(backend, &key);
    assert_eq!(backend.destroy(&key).unwrap_err(), DestroyError::NotFound { key });
}

pub fn keys_do_not_disturb_each_other<B: Backend>(backend: &B) {
    let segments: Vec<_> = (0..20).map(|_| backend.create(&fresh(), &options(64)).unwrap()).collect();
    for (number, segment) in segments.iter().enumerate() {
        segment.write(0, &[number as u8; 64]);
    }
    for (number, segment) in segments.iter().enumerate() {
        assert_eq!(all(&backend.attach(segment.key()).unwrap()), [number as u8; 64]);
    }
}

pub fn destroy_leaves_holders_their_memory_and_frees_the_key<B: Backend>(backend: &B) {
    let key = fresh();
    let old = backend.create(&key, &options(4096)).unwrap();
    old.write(0, b"old");
    backend.destroy(&key).unwrap();
    assert_missing(backend, &key);
    assert_eq!(backend.destroy(&key).unwrap_err(), DestroyError::NotFound { key: key.clone() });
    let new = backend.create(&key, &options(8192)).unwrap();
    assert!(all(&new).iter().all(|byte| *byte == 0));
    assert_eq!(&all(&old)[..3], b"old");
    old.write(0, b"OLD");
    assert_eq!(&all(&old)[..3], b"OLD");
    assert!(all(&new).iter().all(|byte| *byte == 0));
}

pub fn an_old_holder_does_not_harm_the_next_segment_of_its_key<B: Backend>(backend: &B) {
    let key = fresh();
    let old = backend.create(&key, &options(4096)).unwrap();
    let older = backend.attach(&key).unwrap();
    backend.destroy(&key).unwrap();
    let new = backend.create(&key, &options(4096)).unwrap();
    assert_eq!(old.detach(), Detached::Gone);
    drop(older);
    assert!(new.is_current());
    drop(backend.attach(&key).unwrap());
    assert_eq!(new.detach(), Detached::Destroyed);
}

pub fn the_last_detach_destroys<B: Backend>(backend: &B) {
    for first_leaves_first in [true, false] {
        let key = fresh();
        let one = backend.create(&key, &options(10)).unwrap();
        let other = backend.attach(&key).unwrap();
        let (first, last) = if first_leaves_first { (one, other) } else { (other, one) };
        assert_eq!(first.detach(), Detached::Outlives(NonZeroUsize::MIN));
        assert!(last.is_current());
        assert_eq!(last.detach(), Detached::Destroyed);
        assert_missing(backend, &key);
    }
}

pub fn a_detach_after_destroy_says_gone<B: Backend>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(10)).unwrap(), backend.attach(&key).unwrap());
    backend.destroy(&key).unwrap();
    assert_eq!(one.detach(), Detached::Gone);
    assert_eq!(other.detach(), Detached::Gone);
}

pub fn dropping_a_segment_detaches_it<B: Backend>(backend: &B) {
    let key = fresh();
    let one = backend.create(&key, &options(10)).unwrap();
    drop(backend.attach(&key).unwrap());
    assert!(one.is_current());
    drop(one);
    assert_missing(backend, &key);
}

pub fn a_persistent_segment_stays_until_it_is_destroyed<B: Backend>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(10).persist(true)).unwrap();
    segment.write(0, b"kept");
    assert_eq!(backend.info(&key).unwrap().state, State::Persistent);
    assert!(outlives(segment.detach()));
    assert_eq!(backend.info(&key).unwrap().state, State::Persistent);
    let again = backend.attach(&key).unwrap();
    assert_eq!(&all(&again)[..4], b"kept");
    drop(again);
    backend.destroy(&key).unwrap();
    assert_missing(backend, &key);
}

pub fn info_tells_what_was_asked_for<B: Backend>(backend: &B) {
    let key = fresh();
    let mode = Mode::new(0o640).unwrap();
    let segment = backend.create(&key, &options(12345).mode(mode)).unwrap();
    let info = backend.info(&key).unwrap();
    assert_eq!((&info.key, info.size, info.mode, info.state), (&key, 12345, mode, State::Held));
    assert_eq!(info.creator, Some(process::id()));
    assert!(matches!(info.holders, None | Some(1)), "{info:?}");
    let other = backend.attach(&key).unwrap();
    assert!(matches!(backend.info(&key).unwrap().holders, None | Some(2)));
    let private = backend.create(&fresh(), &options(1)).unwrap();
    assert_eq!(backend.info(private.key()).unwrap().mode, Mode::OWNER);
    drop((segment, other));
}

pub fn info_tells_of_the_last_holder_leaving<B: Backend>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(1)).unwrap(), backend.attach(&key).unwrap());
    drop(one);
    let info = backend.info(&key).unwrap();
    assert_eq!(info.state, State::Held);
    assert!(matches!(info.holders, None | Some(1)), "{info:?}");
    drop(other);
    assert_missing(backend, &key);
}

pub fn is_current_follows_the_key<B: Backend>(backend: &B) {
    let key = fresh();
    let old = backend.create(&key, &options(10)).unwrap();
    let other = backend.attach(&key).unwrap();
    assert!(old.is_current() && other.is_current());
    backend.destroy(&key).unwrap();
    assert!(!old.is_current() && !other.is_current());
    let new = backend.create(&key, &options(10)).unwrap();
    assert!(new.is_current() && !old.is_current() && !other.is_current());
}

pub fn reads_and_writes_stop_at_the_end<B: Backend>(backend: &B) {
    let segment = backend.create(&fresh(), &options(100)).unwrap();
    assert_eq!(segment.write(96, b"abcdefgh"), 4);
    assert_eq!(segment.write(100, b"x"), 0);
    assert_eq!(segment.write(usize::MAX, b"x"), 0);
    assert_eq!(segment.write(50, b""), 0);
    let mut bytes = [b'-'; 8];
    assert_eq!(segment.read(96, &mut bytes), 4);
    assert_eq!(&bytes, b"abcd----");
    assert_eq!(segment.read(100, &mut bytes), 0);
    assert_eq!(segment.read(usize::MAX, &mut bytes), 0);
    assert_eq!(&bytes, b"abcd----");
    assert!(all(&segment)[..96].iter().all(|byte| *byte == 0));
}

pub fn an_atomic_fits_inside_and_is_aligned_or_is_none<B: Backend>(backend: &B) {
    let segment = backend.create(&fresh(), &options(21)).unwrap();
    let places = |found: &dyn Fn(usize) -> bool| (0..32).filter(|offset| found(*offset)).collect::<Vec<_>>();
    assert_eq!(places(&|offset| segment.atomic::<AtomicU8>(offset).is_some()), (0..21).collect::<Vec<_>>());
    assert_eq!(
        places(&|offset| segment.atomic::<AtomicU16>(offset).is_some()),
        (0..20).step_by(2).collect::<Vec<_>>()
    );
    assert_eq!(places(&|offset| segment.atomic::<AtomicU32>(offset).is_some()), [0, 4, 8, 12, 16]);
    assert_eq!(places(&|offset| segment.atomic::<AtomicI64>(offset).is_some()), [0, 8]);
    for offset in [usize::MAX, usize::MAX - 3, usize::MAX - 7, 1 << 63] {
        assert!(segment.atomic::<AtomicU64>(offset).is_none());
        assert!(segment.atomic::<AtomicU32>(offset).is_none());
    }
}

pub fn atomics_of_two_attachments_are_one<B: Backend>(backend: &B) {
    let key = fresh();
    let one = backend.create(&key, &options(8)).unwrap();
    let count = |segment: &B::Segment| {
        let cell = segment.atomic::<AtomicU32>(4).unwrap();
        for _ in 0..20_000 {
            cell.fetch_add(1, SeqCst);
        }
    };
    thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| count(&backend.attach(&key).unwrap()))));
        count(&one);
    });
    assert_eq!(one.atomic::<AtomicU32>(4).unwrap().load(SeqCst), 60_000);
    assert_eq!(one.atomic::<AtomicU32>(0).unwrap().load(SeqCst), 0);
}

pub fn letting_go_in_place_leaves_at_once_and_keeps_the_addresses<B: Backend>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(9000)).unwrap();
    let start = segment.as_ptr();
    let (detached, range) = segment.let_go_in_place(&|| false);
    assert_eq!(detached, Detached::Destroyed);
    assert_missing(backend, &key);
    let next = backend.create(&key, &options(9000)).unwrap();
    next.write(0, &[7; 9000]);
    for offset in 0..9000 {
        // SAFETY: inside the range, which still stands.
        let byte = unsafe { start.add(offset) };
        // SAFETY: as above.
        unsafe { byte.write_volatile(1) };
        // SAFETY: as above.
        assert_eq!(unsafe { byte.read_volatile() }, 1);
    }
    drop(range);
    assert_eq!(all(&next), [7; 9000]);
}

pub fn who_keeps_the_addresses_only_is_no_holder<B: Backend>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(100)).unwrap(), backend.attach(&key).unwrap());
    let (detached, range) = one.let_go_in_place(&|| false);
    assert_eq!(detached, Detached::Outlives(NonZeroUsize::MIN));
    assert!(matches!(backend.info(&key).unwrap().holders, None | Some(1)));
    assert_eq!(other.detach(), Detached::Destroyed);
    assert_missing(backend, &key);
    drop(range);
}

pub fn letting_go_waits_for_others_only_as_long_as_one_is_about_to_leave<B: Backend>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(1)).unwrap(), backend.attach(&key).unwrap());
    let asked = Cell::new(0);
    let twenty_times = || {
        asked.set(asked.get() + 1);
        asked.get() < 20
    };
    assert!(outlives(one.let_go_in_place(&twenty_times).0));
    assert!(other.is_current());
    // Alone, and there is nobody to wait for.
    assert_eq!(other.let_go_in_place(&|| true).0, Detached::Destroyed);
}

pub fn a_sole_holder_lets_go_without_waiting<B: Backend>(backend: &B) {
    let segment = backend.create(&fresh(), &options(1)).unwrap();
    let asked = Cell::new(0);
    let others_leave = || {
        asked.set(asked.get() + 1);
        assert!(asked.get() < 100, "it waits for nobody");
        true
    };
    assert_eq!(segment.let_go_in_place(&others_leave).0, Detached::Destroyed);
}

pub fn random_keys_differ<B: Backend>(backend: &B) {
    let segments: Vec<_> = (0..50).map(|_| backend.create_anywhere(&options(1)).unwrap()).collect();
    let keys: BTreeSet<_> = segments.iter().map(Segment::key).collect();
    assert_eq!(keys.len(), 50);
    assert!(segments.iter().all(Segment::is_current));
}

pub fn threads_attach_and_detach_one_key<B: Backend>(backend: &B) {
    let key = fresh();
    let size = 4096;
    // A thread that finds nothing creates; the last to leave destroys; none may ever see the bytes of an earlier
    // segment.
    let work = || {
        for _ in 0..300 {
            let segment = match backend.attach(&key) {
                Ok(segment) => segment,
                Err(AttachError::NotFound { .. }) => match backend.create(&key, &options(size)) {
                    Ok(segment) => segment,
                    Err(CreateError::Exists { .. }) => continue,
                    Err(error) => panic!("{error}"),
                },
                Err(error) => panic!("{error}"),
            };
            let holders = segment.atomic::<AtomicU32>(0).unwrap();
            assert!(holders.fetch_add(1, SeqCst) < 4);
            assert!(segment.is_current());
            holders.fetch_sub(1, SeqCst);
            assert!(!matches!(segment.detach(), Detached::Gone));
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    assert_missing(backend, &key);
}

pub fn threads_that_create_one_key_make_one_segment<B: Backend>(backend: &B) {
    for _ in 0..50 {
        let key = fresh();
        let made: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| backend.create(&key, &options(1)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        let taken = CreateError::Exists { key: key.clone() };
        assert!(made.iter().filter_map(|made| made.as_ref().err()).all(|error| *error == taken));
    }
}

pub fn a_segment_is_used_and_left_by_other_threads<B: Backend>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(8)).unwrap();
    let (read, detached) = thread::scope(|scope| {
        let moved = scope.spawn(|| {
            segment.write(0, b"elsewhere");
            (all(&segment), segment.detach())
        });
        moved.join().unwrap()
    });
    assert_eq!((read.as_slice(), detached), (b"elsewher".as_slice(), Detached::Destroyed));
}

pub fn a_listing_shows_a_segment_as_info_does<B: List>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(321)).unwrap();
    let listed: Vec<_> = backend.list().unwrap().into_iter().filter(|info| info.key == key).collect();
    assert_eq!(listed, [backend.info(&key).unwrap()]);
    assert_eq!(listed[0].size, 321);
    drop(segment);
}

pub fn a_listing_is_in_the_order_of_the_keys<B: List>(backend: &B) {
    let segments: Vec<_> = (0..10).map(|_| backend.create_anywhere(&options(1)).unwrap()).collect();
    let keys: Vec<_> = backend.list().unwrap().into_iter().map(|info| info.key).collect();
    assert!(keys.is_sorted());
    assert!(segments.iter().all(|segment| keys.contains(segment.key())));
}

pub fn a_listing_leaves_out_what_was_destroyed<B: List>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(1)).unwrap();
    backend.destroy(&key).unwrap();
    assert!(backend.list().unwrap().iter().all(|info| info.key != key));
    drop(segment);
}

pub fn a_read_only_attachment_sees_writes<B: AttachReadOnly>(backend: &B) {
    let key = fresh();
    let writer = backend.create(&key, &options(5000)).unwrap();
    let reader = backend.attach_read_only(&key).unwrap();
    assert_eq!((reader.access(), reader.size().get()), (Access::ReadOnly, 5000));
    for round in 1..10 {
        writer.write(4096, &[round]);
        let mut byte = [0];
        reader.read(4096, &mut byte);
        assert_eq!(byte, [round]);
    }
}

pub fn a_write_through_a_read_only_attachment_stays_private<B: AttachReadOnly>(backend: &B) {
    let key = fresh();
    let writer = backend.create(&key, &options(100)).unwrap();
    let reader = backend.attach_read_only(&key).unwrap();
    assert_eq!(reader.write(0, b"stray"), 5);
    assert_eq!(&all(&reader)[..5], b"stray");
    assert!(all(&writer).iter().all(|byte| *byte == 0));
}

pub fn a_read_only_holder_is_a_holder<B: AttachReadOnly>(backend: &B) {
    let key = fresh();
    let writer = backend.create(&key, &options(100)).unwrap();
    writer.write(0, b"bytes");
    let reader = backend.attach_read_only(&key).unwrap();
    assert!(outlives(writer.detach()));
    assert_eq!(&all(&reader)[..5], b"bytes");
    assert!(reader.is_current());
    assert_eq!(reader.detach(), Detached::Destroyed);
    assert_missing(backend, &key);
}

pub fn a_missing_key_is_not_found_read_only_either<B: AttachReadOnly>(backend: &B) {
    let key = fresh();
    assert_eq!(backend.attach_read_only(&key).unwrap_err(), AttachError::NotFound { key });
}

pub fn a_peek_copies_as_much_as_there_is<B: Peek>(backend: &B) {
    let key = fresh();
    let mut bytes = [0; 5];
    assert_eq!(backend.peek(&key, 0, &mut bytes).unwrap_err(), AttachError::NotFound { key: key.clone() });
    let segment = backend.create(&key, &options(5003)).unwrap();
    segment.write(5000, b"end");
    assert_eq!(backend.peek(&key, 4999, &mut bytes), Ok(4));
    assert_eq!(&bytes[..4], b"\0end");
    for (offset, count) in
        [(0, 5), (4998, 5), (5002, 1), (5003, 0), (1 << 40, 0), (usize::MAX >> 1, 0), (usize::MAX, 0)]
    {
        assert_eq!(backend.peek(&key, offset, &mut bytes), Ok(count), "at {offset}");
    }
    assert_eq!(backend.peek(&key, 0, &mut []), Ok(0));
}

pub fn a_peek_takes_nothing_and_keeps_nothing<B: Peek>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(100).persist(true)).unwrap();
    let before = backend.info(&key).unwrap();
    backend.peek(&key, 0, &mut [0; 100]).unwrap();
    assert_eq!(backend.info(&key).unwrap(), before);
    drop(segment);
    backend.peek(&key, 0, &mut [0; 100]).unwrap();
    assert_eq!(backend.info(&key).unwrap().state, State::Persistent);
    backend.destroy(&key).unwrap();
}

pub fn a_segment_goes_with_its_last_holder_while_others_peek<B: Peek + Sync>(backend: &B) {
    const SIZE: usize = 1 << 18;
    let (key, is_over) = (fresh(), AtomicU8::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut bytes = vec![0; SIZE];
            while is_over.load(SeqCst) == 0 {
                _ = backend.peek(&key, 0, &mut bytes);
                thread::sleep(Duration::from_micros(100)); // or else nobody else gets the name's lock
            }
        });
        let leave_later = |segment: B::Segment, number: u64| {
            thread::sleep(Duration::from_micros(number % 10 * 50));
            segment.detach()
        };
        // Nothing panics before it is over: the other thread would never end.
        let left: Vec<_> = (0..500)
            .map(|number| backend.create(&key, &options(SIZE)).map(|segment| leave_later(segment, number)))
            .filter(|detached| *detached != Ok(Detached::Destroyed))
            .collect();
        is_over.store(1, SeqCst);
        assert_eq!(left, []);
    });
}

pub fn a_sweep_leaves_what_is_held<B: Sweep>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(1)).unwrap();
    for _ in 0..10 {
        backend.sweep().unwrap();
        assert!(segment.is_current());
    }
    let other = backend.attach(&key).unwrap();
    drop(segment);
    backend.sweep().unwrap();
    assert!(other.is_current());
}

pub fn a_sweep_leaves_what_persists<B: Sweep>(backend: &B) {
    let key = fresh();
    drop(backend.create(&key, &options(1).persist(true)).unwrap());
    backend.sweep().unwrap();
    assert_eq!(backend.info(&key).unwrap().state, State::Persistent);
    backend.destroy(&key).unwrap();
    assert_missing(backend, &key);
}

pub fn what_is_held_is_not_destroyed_as_unheld<B: DestroyUnheld>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options(1).mode(Mode::new(0o640).unwrap())).unwrap();
    assert_eq!(backend.destroy_unheld(&key).unwrap(), Detached::Outlives(NonZeroUsize::MIN));
    assert!(segment.is_current());
    assert_eq!(backend.info(&key).unwrap().mode.bits(), 0o640);
    assert_eq!(segment.detach(), Detached::Destroyed);
    assert_eq!(backend.destroy_unheld(&key).unwrap_err(), DestroyError::NotFound { key });
}

pub fn what_nobody_holds_is_destroyed_though_it_persists<B: DestroyUnheld>(backend: &B) {
    let key = fresh();
    drop(backend.create(&key, &options(1).persist(true)).unwrap());
    assert_eq!(backend.destroy_unheld(&key).unwrap(), Detached::Destroyed);
    assert_missing(backend, &key);
    drop(backend.create(&key, &options(1)).unwrap());
}

pub fn addresses_that_were_let_go_read_zeros_and_reach_nobody<B: Backend>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(9000)).unwrap(), backend.attach(&key).unwrap());
    one.write(0, &[9; 9000]);
    let start = one.as_ptr();
    let (detached, range) = one.let_go_in_place(&|| false);
    assert_eq!(detached, Detached::Outlives(NonZeroUsize::MIN));
    assert!(matches!(backend.info(&key).unwrap().holders, None | Some(1)));
    for offset in 0..9000 {
        // SAFETY: inside the range, which still stands.
        let byte = unsafe { start.add(offset) };
        // SAFETY: as above.
        assert_eq!(unsafe { byte.read_volatile() }, 0);
        // SAFETY: as above.
        unsafe { byte.write_volatile(5) };
    }
    assert_eq!(all(&other), [9; 9000]);
    // The addresses are no holder.
    assert_eq!(other.detach(), Detached::Destroyed);
    drop(range);
}

pub fn letting_go_waits_for_the_others_of_what_it_created<B: Backend>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(1)).unwrap(), backend.attach(&key).unwrap());
    let (asked, other) = (Cell::new(0), Cell::new(Some(other)));
    let leaves_at_last = || {
        asked.set(asked.get() + 1);
        if asked.get() == 20 {
            let other = other.take().expect("asked for the twentieth time once");
            assert!(outlives(other.detach()), "who waits for it is no longer its last holder");
        }
        true
    };
    assert_eq!(one.let_go_in_place(&leaves_at_last).0, Detached::Destroyed);
    // What another one created is waited for by that one.
    let (one, other) = (backend.create(&key, &options(1)).unwrap(), backend.attach(&key).unwrap());
    assert!(outlives(other.let_go_in_place(&|| true).0));
    assert_eq!(one.detach(), Detached::Destroyed);
}

pub fn leaving_in_a_signal_handler_leaves_at_once<B: Backend<Segment: LeaveAtEnd>>(backend: &B) {
    let key = fresh();
    let (one, other) = (backend.create(&key, &options(1)).unwrap(), backend.attach(&key).unwrap());
    for (segment, expected) in [(one, Detached::Outlives(NonZeroUsize::MIN)), (other, Detached::Destroyed)] {
        assert!(segment.is_current());
        let segment = mem::ManuallyDrop::new(segment);
        // SAFETY: it is neither used nor dropped again.
        let detached = unsafe { segment.leave_in_signal(Instant::now() + Duration::from_secs(60)) };
        assert_eq!(detached, expected);
    }
    assert_missing(backend, &key);
}

pub fn a_mode_is_what_was_asked<B: Backend>(backend: &B) {
    for bits in [0o600, 0o640, 0o660, 0o604, 0o666, 0o777] {
        let mode = Mode::new(bits).unwrap();
        let segment = backend.create(&fresh(), &options(1).mode(mode)).unwrap();
        assert_eq!(backend.info(segment.key()).unwrap().mode, mode);
    }
}

pub fn a_sparse_segment_is_as_large_and_as_zero<B: Backend>(backend: &B) {
    let key = fresh();
    let segment = backend.create(&key, &options((64 << 20) + 3).reserve(false)).unwrap();
    let other = backend.attach(&key).unwrap();
    let sizes = (segment.size().get(), other.size().get(), backend.info(&key).unwrap().size as usize);
    assert_eq!(sizes, ((64 << 20) + 3, (64 << 20) + 3, (64 << 20) + 3));
    drop(other);
    assert_eq!(segment.write((64 << 20) + 2, b"xy"), 1);
    let mut byte = [1; 1];
    segment.read(32 << 20, &mut byte);
    assert_eq!(byte, [0]);
    drop(segment);
    assert_missing(backend, &key);
}

pub fn huge_pages_change_nothing_but_speed<B: Backend>(backend: &B) {
    for reserve in [true, false] {
        let key = fresh();
        let size = (4 << 20) + 5;
        let segment = backend.create(&key, &options(size).huge_pages(true).reserve(reserve)).unwrap();
        assert_eq!((segment.size().get(), backend.info(&key).unwrap().size), (size, size as u64));
        assert!(all(&segment).iter().all(|byte| *byte == 0));
        assert_eq!(segment.detach(), Detached::Destroyed);
    }
}

pub fn populating_maps_every_page<B: Backend>(backend: &B) {
    // How much of a mapping is in memory; proc(5), /proc/pid/smaps. Windows is not asked.
    let resident = |segment: &B::Segment| {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let begin = format!("{:x}-", segment.as_ptr().addr());
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&begin));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).expect("it is mapped");
        rss.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let size = 2 << 20;
    if cfg!(target_os = "macos") {
        let refused = backend.create(&fresh(), &options(size).populate(true)).unwrap_err();
        return assert!(refused.to_string().contains("leave `populate` out"), "{refused}");
    }
    for make in [options(size), options(size).reserve(false), options(size).huge_pages(true)] {
        let key = fresh();
        let segment = backend.create(&key, &make.populate(true)).unwrap();
        assert!(all(&segment).iter().all(|byte| *byte == 0));
        let other = backend.attach(&key).unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!((resident(&segment), resident(&other)), (size, 0));
        }
        other.populate().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(resident(&other), size);
        }
        segment.write(0, b"shared");
        let mut seen = [0; 6];
        other.read(0, &mut seen);
        assert_eq!(&seen, b"shared");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_claim_is_run() {
        let source = include_str!("conformance.rs");
        let claims: Vec<_> = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub fn ")?.split('<').next())
            .filter(|claim| source.lines().filter(|line| line.trim() == *claim).count() != 1)
            .collect();
        assert!(claims.is_empty(), "not in conformance!: {claims:?}");
    }
}
