//! Random calls against a model of what they should do.

use proptest::{prelude::*, test_runner::Config};
use shm_api::{
    AttachError, Backend, CreateError, CreateOptions, DestroyError, Detached, Key, List, Mode, Segment,
    State, heap::Heap,
};
use shm_tests::fresh_id;
use std::{collections::BTreeMap, num::NonZeroUsize};

/// The error of a lock that cannot be had.
const BUSY: i32 = if cfg!(windows) { 170 } else { 16 };

/// How many keys the calls are about.
const KEYS: usize = 3;

#[derive(Clone, Debug)]
enum Call {
    Create { key: usize, size: usize, persist: bool, mode: u32 },
    Attach { key: usize },
    Leave { held: usize, how: u8 },
    Destroy { key: usize },
    Write { held: usize, offset: usize, bytes: Vec<u8> },
    Read { held: usize, offset: usize, length: usize },
    Look { key: usize },
    List,
    Sweep,
}

fn call() -> impl Strategy<Value = Call> {
    let size = prop_oneof![1..100_usize, 4000..4200_usize, Just(70_000)];
    let offset = || prop_oneof![0..100_usize, 3990..4210_usize, Just(69_999), Just(usize::MAX)];
    let mode = prop_oneof![Just(0o600), Just(0o640), Just(0o666), Just(0o700)];
    prop_oneof![
        4 => (0..KEYS, size, prop::bool::weighted(0.2), mode)
            .prop_map(|(key, size, persist, mode)| Call::Create { key, size, persist, mode }),
        4 => (0..KEYS).prop_map(|key| Call::Attach { key }),
        5 => (any::<usize>(), 0..3_u8).prop_map(|(held, how)| Call::Leave { held, how }),
        1 => (0..KEYS).prop_map(|key| Call::Destroy { key }),
        3 => (any::<usize>(), offset(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(held, offset, bytes)| Call::Write { held, offset, bytes }),
        3 => (any::<usize>(), offset(), 0..5000_usize)
            .prop_map(|(held, offset, length)| Call::Read { held, offset, length }),
        2 => (0..KEYS).prop_map(|key| Call::Look { key }),
        1 => Just(Call::List),
        1 => Just(Call::Sweep),
    ]
}

/// A segment as it should be.
#[derive(Debug)]
struct Expected {
    bytes: Vec<u8>,
    mode: u32,
    persist: bool,
    holders: usize,
}

/// A backend beside its model. Segments are told apart by a number; a key leads to one of them.
struct Play<'a, B: Backend> {
    backend: &'a B,
    sweep: fn(&B),
    keys: Vec<Key>,
    named: [Option<usize>; KEYS],
    segments: BTreeMap<usize, Expected>,
    held: Vec<(B::Segment, usize, usize)>,
    made: usize,
}

/// Calls again while a lock cannot be had, as that error says: the holder of one that this name shares may not run for
/// a second on a busy machine.
macro_rules! patiently {
    ($Error:ident, $call:expr) => {{
        let is_busy = |result: &Result<_, _>| {
            matches!(result, Err($Error::Os(error)) if error.errno() == BUSY)
        };
        (0..60).map(|_| $call).find(|result| !is_busy(result)).expect("a lock that is let go some time")
    }};
}

impl<B: List> Play<'_, B> {
    fn call(&mut self, call: Call) {
        match call {
            Call::Create { key, size, persist, mode } => self.create(key, size, persist, mode),
            Call::Attach { key } => self.attach(key),
            Call::Destroy { key } => self.destroy(key),
            Call::Look { key } => self.look(key),
            Call::List => self.list(),
            Call::Sweep => (self.sweep)(self.backend),
            _ if self.held.is_empty() => {}
            Call::Leave { held, how } => self.leave(held % self.held.len(), how),
            Call::Write { held, offset, bytes } => self.write(held % self.held.len(), offset, &bytes),
            Call::Read { held, offset, length } => self.read(held % self.held.len(), offset, length),
        }
        for (segment, key, number) in &self.held {
            assert_eq!(segment.is_current(), self.named[*key] == Some(*number));
        }
    }

    fn create(&mut self, key: usize, size: usize, persist: bool, mode: u32) {
        let options = CreateOptions::new(NonZeroUsize::new(size).expect("at least 1"));
        let options = options.persist(persist).mode(Mode::new(mode).expect("nine bits"));
        let created = patiently!(CreateError, self.backend.create(&self.keys[key], &options));
        if self.named[key].is_some() {
            assert_eq!(created.unwrap_err(), CreateError::Exists { key: self.keys[key].clone() });
            return;
        }
        let segment = created.unwrap();
        assert_eq!(segment.size().get(), size);
        self.made += 1;
        self.named[key] = Some(self.made);
        self.segments.insert(self.made, Expected { bytes: vec![0; size], mode, persist, holders: 1 });
        self.held.push((segment, key, self.made));
    }

    fn attach(&mut self, key: usize) {
        let attached = patiently!(AttachError, self.backend.attach(&self.keys[key]));
        match self.named[key] {
            None => {
                let missing = AttachError::NotFound { key: self.keys[key].clone() };
                assert_eq!(attached.unwrap_err(), missing);
            }
            Some(number) => {
                let expected = self.segments.get_mut(&number).expect("it has a name");
                expected.holders += 1;
                let segment = attached.unwrap();
                assert_eq!(segment.size().get(), expected.bytes.len());
                self.held.push((segment, key, number));
            }
        }
    }

    fn leave(&mut self, held: usize, how: u8) {
        let (segment, key, number) = self.held.swap_remove(held);
        let said = match how {
            0 => Some(segment.detach()),
            1 => Some(segment.let_go_in_place(&|| false).0),
            _ => {
                drop(segment);
                None
            }
        };
        let expected = self.segments.get_mut(&number).expect("it was held");
        expected.holders -= 1;
        let (holders, persist) = (expected.holders, expected.persist);
        let is_named = self.named[key] == Some(number);
        if holders == 0 && !(is_named && persist) {
            self.segments.remove(&number);
        }
        let outcome = match (is_named, holders) {
            (false, _) => Detached::Gone,
            (true, 0) if persist => Detached::Outlives(NonZeroUsize::MIN),
            (true, 0) => {
                self.named[key] = None;
                Detached::Destroyed
            }
            // A lower bound where nobody counts.
            (true, holders) => {
                let holders = if self.backend.name() == "posix" { 1 } else { holders };
                Detached::Outlives(NonZeroUsize::new(holders).expect("not 0"))
            }
        };
        assert_eq!(said.unwrap_or(outcome), outcome);
    }

    fn destroy(&mut self, key: usize) {
        let destroyed = patiently!(DestroyError, self.backend.destroy(&self.keys[key]));
        match self.named[key].take() {
            None => {
                assert_eq!(destroyed.unwrap_err(), DestroyError::NotFound { key: self.keys[key].clone() });
            }
            Some(number) => {
                destroyed.unwrap();
                if self.segments[&number].holders == 0 {
                    self.segments.remove(&number);
                }
            }
        }
    }

    fn write(&mut self, held: usize, offset: usize, bytes: &[u8]) {
        let (segment, _, number) = &self.held[held];
        let expected = &mut self.segments.get_mut(number).expect("it is held").bytes;
        let room = expected.len().saturating_sub(offset).min(bytes.len());
        assert_eq!(segment.write(offset, bytes), room);
        if room > 0 {
            expected[offset..][..room].copy_from_slice(&bytes[..room]);
        }
    }

    fn read(&self, held: usize, offset: usize, length: usize) {
        let (segment, _, number) = &self.held[held];
        let expected = &self.segments[number].bytes;
        let room = expected.len().saturating_sub(offset).min(length);
        let mut bytes = vec![0xcc; length];
        assert_eq!(segment.read(offset, &mut bytes), room);
        if room > 0 {
            assert_eq!(bytes[..room], expected[offset..][..room]);
        }
        assert!(bytes[room..].iter().all(|byte| *byte == 0xcc));
    }

    fn look(&self, key: usize) {
        let info = self.backend.info(&self.keys[key]);
        let Some(number) = self.named[key] else {
            assert_eq!(info.unwrap_err(), AttachError::NotFound { key: self.keys[key].clone() });
            return;
        };
        let (info, expected) = (info.unwrap(), &self.segments[&number]);
        let state = if expected.persist { State::Persistent } else { State::Held };
        assert_eq!(
            (info.key, info.size as usize, info.mode.bits(), info.state),
            (self.keys[key].clone(), expected.bytes.len(), expected.mode, state)
        );
        assert_eq!(info.holders.unwrap_or(expected.holders as u64), expected.holders as u64);
    }

    fn list(&self) {
        let listed: Vec<_> = self.backend.list().unwrap().into_iter().map(|info| info.key).collect();
        for (key, named) in self.keys.iter().zip(self.named) {
            assert_eq!(listed.contains(key), named.is_some(), "{key}");
        }
    }

    /// Everything goes, in the end, and what persists when it is told to.
    fn end(mut self) {
        while !self.held.is_empty() {
            self.leave(0, 0);
        }
        for key in 0..KEYS {
            let persists = self.named[key].is_some_and(|number| self.segments[&number].persist);
            assert_eq!(self.backend.info(&self.keys[key]).is_ok(), persists);
            self.destroy(key);
            assert!(self.backend.attach(&self.keys[key]).is_err());
        }
        assert!(self.segments.is_empty());
    }
}

fn play<B: List>(backend: &B, sweep: fn(&B), calls: Vec<Call>) {
    let keys = (0..KEYS).map(|_| Key::id(fresh_id()).expect("bit 31 is set")).collect();
    let (named, segments, held) = ([None; KEYS], BTreeMap::new(), Vec::new());
    let mut play = Play { backend, sweep, keys, named, segments, held, made: 0 };
    calls.into_iter().for_each(|call| play.call(call));
    play.end();
}

fn config() -> Config {
    Config { cases: 700, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_calls_do_what_the_model_says_on_the_heap(calls in prop::collection::vec(call(), 1..100)) {
        play(&Heap::default(), |_| {}, calls);
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use shm_api::Sweep;
    use shm_posix::Posix;
    use shm_sysv::SysV;

    fn sweep<B: Sweep>(backend: &B) {
        backend.sweep().unwrap();
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn random_calls_do_what_the_model_says_on_system_v(calls in prop::collection::vec(call(), 1..100)) {
            play(&SysV::new(), sweep, calls);
        }

        #[test]
        fn random_calls_do_what_the_model_says_on_posix(calls in prop::collection::vec(call(), 1..100)) {
            play(&Posix::new(), sweep, calls);
        }
    }
}

#[cfg(windows)]
mod windows {
    use super::*;
    use shm_windows::Windows;

    /// What persists is refused here.
    fn without_persisting(call: Call) -> Call {
        match call {
            Call::Create { key, size, mode, .. } => Call::Create { key, size, mode, persist: false },
            other => other,
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn random_calls_do_what_the_model_says_on_windows(calls in prop::collection::vec(call(), 1..100)) {
            play(&Windows::new(), |_| {}, calls.into_iter().map(without_persisting).collect());
        }
    }
}
