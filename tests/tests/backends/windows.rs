//! What is particular to Windows.

use shm_api::{
    Access, AttachError, Backend, CreateError, CreateOptions, DestroyError, Detached, Key, Segment, State,
};
use shm_tests::{fresh_id, fresh_name};
use shm_windows::Windows;
use std::{
    env,
    io::{BufRead, BufReader, Write},
    num::NonZeroUsize,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    process::{self, Command, Stdio},
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
};
use windows_sys::Win32::{
    Foundation::{ERROR_NOT_SUPPORTED, INVALID_HANDLE_VALUE},
    System::Memory::{
        CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
        OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
    },
};

fn options(size: usize) -> CreateOptions {
    CreateOptions::new(NonZeroUsize::new(size).expect("not 0"))
}

fn fresh() -> (String, Key) {
    let name = fresh_name();
    let key = Key::name(&name).unwrap();
    (name.trim_start_matches('/').to_owned(), key)
}

/// A section as a program has it that knows nothing of this library.
struct Foreign {
    _section: OwnedHandle,
    view: MEMORY_MAPPED_VIEW_ADDRESS,
}

impl Foreign {
    fn open(name: &str) -> Option<Self> {
        let name: Vec<_> = name.encode_utf16().chain([0]).collect();
        // SAFETY: a string with its NUL.
        let section = unsafe { OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, 0, name.as_ptr()) };
        Self::map(section)
    }

    fn create(name: &str, size: u32) -> Self {
        let name: Vec<_> = name.encode_utf16().chain([0]).collect();
        let file = INVALID_HANDLE_VALUE;
        // SAFETY: a string with its NUL.
        let section =
            unsafe { CreateFileMappingW(file, ptr::null(), PAGE_READWRITE, 0, size, name.as_ptr()) };
        Self::map(section).expect("a name that is free")
    }

    fn map(section: *mut std::ffi::c_void) -> Option<Self> {
        let section = NonNull::new(section)?;
        // SAFETY: a handle that was just opened.
        let section = unsafe { OwnedHandle::from_raw_handle(section.as_ptr()) };
        // SAFETY: as above.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0) };
        assert!(!view.Value.is_null());
        Some(Self { _section: section, view })
    }

    fn first(&self) -> &AtomicU32 {
        // SAFETY: the start of a mapped page.
        unsafe { &*self.view.Value.cast() }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: its own view.
        unsafe { UnmapViewOfFile(self.view) };
    }
}

#[test]
fn a_persistent_segment_is_refused_with_the_reason() {
    let (_, key) = fresh();
    let refused = Windows::new().create(&key, &options(1).persist(true)).unwrap_err();
    let CreateError::Os(error) = &refused else { panic!("{refused}") };
    assert_eq!(error.errno(), ERROR_NOT_SUPPORTED.cast_signed());
    assert!(refused.to_string().contains("leave `persist` out"), "{refused}");
    assert_eq!(Windows::new().attach(&key).unwrap_err(), AttachError::NotFound { key });
}

#[test]
fn another_program_opens_a_segment_by_its_plain_name() {
    let (name, key) = fresh();
    let id = fresh_id();
    let cases = [(name, key), (format!("shm-node-{id:08x}"), Key::id(id).unwrap())];
    for (name, key) in cases {
        let segment = Windows::new().create(&key, &options(10)).unwrap();
        let foreign = Foreign::open(&name).expect("it has that name");
        segment.atomic::<AtomicU32>(0).unwrap().store(7, SeqCst);
        assert_eq!(foreign.first().load(SeqCst), 7);
        assert_eq!(Windows::new().info(&key).unwrap().holders, Some(2));
        // A foreign holder is one: what it holds is not destroyed.
        assert_eq!(segment.detach(), Detached::Outlives(NonZeroUsize::MIN));
        let again = Windows::new().attach(&key).unwrap();
        assert_eq!(again.atomic::<AtomicU32>(0).unwrap().load(SeqCst), 7);
        drop(foreign);
        assert_eq!(again.detach(), Detached::Destroyed);
        assert!(Foreign::open(&name).is_none());
    }
}

#[test]
fn a_section_of_another_program_is_attached_whole_and_never_destroyed() {
    let (name, key) = fresh();
    let foreign = Foreign::create(&name, 5000);
    foreign.first().store(9, SeqCst);
    assert_eq!(
        Windows::new().create(&key, &options(1)).unwrap_err(),
        CreateError::Exists { key: key.clone() }
    );
    let segment = Windows::new().attach(&key).unwrap();
    assert_eq!((segment.size().get(), segment.access()), (8192, Access::ReadWrite));
    assert_eq!(segment.atomic::<AtomicU32>(0).unwrap().load(SeqCst), 9);
    let info = Windows::new().info(&key).unwrap();
    assert_eq!((info.size, info.state, info.holders), (8192, State::Foreign, Some(2)));
    let refused = Windows::new().destroy(&key).unwrap_err();
    assert!(matches!(refused, DestroyError::Os(_)), "{refused}");
    assert_eq!(segment.detach(), Detached::Outlives(NonZeroUsize::MIN));
    assert_eq!(foreign.first().load(SeqCst), 9);
    drop(foreign);
    assert_eq!(Windows::new().info(&key).unwrap_err(), AttachError::NotFound { key });
}

#[test]
fn a_key_has_its_plain_name_again_when_the_holders_of_a_destroyed_segment_are_gone() {
    let (name, key) = fresh();
    let create = |value| {
        let segment = Windows::new().create(&key, &options(10)).unwrap();
        segment.atomic::<AtomicU32>(0).unwrap().store(value, SeqCst);
        segment
    };
    let seen = || Foreign::open(&name).map(|foreign| foreign.first().load(SeqCst));
    let first = create(1);
    Windows::new().destroy(&key).unwrap();
    let second = create(2);
    assert_eq!(seen(), Some(1), "the old one has the name as long as it is held");
    assert_eq!(Windows::new().attach(&key).unwrap().atomic::<AtomicU32>(0).unwrap().load(SeqCst), 2);
    Windows::new().destroy(&key).unwrap();
    assert_eq!(first.detach(), Detached::Gone);
    let third = create(3);
    assert_eq!(seen(), Some(3));
    drop((second, third));
    assert_eq!(seen(), None);
}

#[test]
fn a_touch_while_pages_are_exchanged_waits() {
    let stop = AtomicBool::new(false);
    for _ in 0..200 {
        let (_, key) = fresh();
        let segment = Windows::new().create(&key, &options(100_000)).unwrap();
        let start = segment.as_ptr();
        let address = start.expose_provenance().get();
        stop.store(false, SeqCst);
        thread::scope(|scope| {
            let toucher = scope.spawn(|| {
                let start = ptr::with_exposed_provenance_mut::<u8>(address);
                let mut touched = 0_u64;
                while !stop.load(SeqCst) {
                    // SAFETY: inside the range, which stands until the thread has ended.
                    let byte = unsafe { start.add(touched as usize % 100_000) };
                    // SAFETY: as above.
                    unsafe { byte.write_volatile(1) };
                    touched += 1;
                }
                touched
            });
            let (detached, range) = segment.let_go_in_place(&|| false);
            stop.store(true, SeqCst);
            toucher.join().unwrap();
            assert_eq!(detached, Detached::Destroyed);
            drop(range);
        });
    }
}

/// Set in a process that holds a segment until it is killed.
const HOLD: &str = "SHM_TESTS_HOLD";

/// No test of its own: what the children of the next one do.
#[test]
fn hold_until_killed() {
    let Ok(id) = env::var(HOLD) else { return };
    let key = Key::id(id.parse().unwrap()).unwrap();
    let segment = match Windows::new().create(&key, &options(5000)) {
        Err(CreateError::Exists { .. }) => Windows::new().attach(&key).unwrap(),
        created => created.unwrap(),
    };
    segment.atomic::<AtomicU32>(0).unwrap().fetch_add(1, SeqCst);
    println!("\nholding");
    std::io::stdout().flush().unwrap();
    loop {
        thread::park();
    }
}

fn holder(key: u32) -> process::Child {
    let test = concat!(module_path!(), "::hold_until_killed");
    let test = test.split_once("::").expect("a crate and a path").1;
    let mut child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(HOLD, key.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "holding"));
    child
}

#[test]
fn a_segment_goes_when_its_last_holder_is_killed() {
    for _ in 0..5 {
        let id = fresh_id();
        let key = Key::id(id).unwrap();
        let mut children = [holder(id), holder(id)];
        assert_eq!(Windows::new().info(&key).unwrap().holders, Some(2));
        let ours = Windows::new().attach(&key).unwrap();
        assert_eq!((ours.size().get(), ours.atomic::<AtomicU32>(0).unwrap().load(SeqCst)), (5000, 2));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(ours.is_current());
        }
        assert_eq!(ours.detach(), Detached::Destroyed);
        let mut last = holder(id);
        assert!(Windows::new().info(&key).is_ok());
        last.kill().unwrap();
        last.wait().unwrap();
        assert_eq!(Windows::new().info(&key).unwrap_err(), AttachError::NotFound { key: key.clone() });
        assert_eq!(Windows::new().create(&key, &options(1)).unwrap().detach(), Detached::Destroyed);
    }
}

/// Set in a process that uses two segments until it is killed: their keys.
const CHURN: &str = "SHM_TESTS_CHURN";

/// How many processes the storm kills.
const KILLS: &str = "SHM_TESTS_KILLS";

const MARK: u32 = 0xfeed;

/// No test of its own: what the children of the storm do. All that they find was made whole, and what is held stays.
#[test]
fn use_segments_until_killed() {
    let Ok(keys) = env::var(CHURN) else { return };
    let (kept, fleeting) = keys.split_once(' ').expect("two keys");
    let [kept, fleeting] = [kept, fleeting].map(|id| Key::id(id.parse().unwrap()).unwrap());
    let backend = Windows::new();
    for round in 0_u32.. {
        let held = backend.attach(&kept).unwrap();
        assert_eq!(held.atomic::<AtomicU32>(4).unwrap().load(SeqCst), MARK);
        held.atomic::<AtomicU32>(0).unwrap().fetch_add(1, SeqCst);
        let segment = match backend.create(&fleeting, &options(5000)) {
            Err(CreateError::Exists { .. }) => match backend.attach(&fleeting) {
                Err(AttachError::NotFound { .. }) => continue, // it was destroyed meanwhile
                attached => attached.unwrap(),
            },
            created => created.unwrap(),
        };
        assert_eq!(segment.size().get(), 5000);
        match round % 4 {
            0 => drop(backend.destroy(&fleeting)),
            1 => drop(segment.let_go_in_place(&|| false)),
            _ => drop(segment),
        }
    }
}

#[test]
fn processes_that_are_killed_at_any_moment_leave_nothing_and_take_nothing() {
    let kills = env::var(KILLS).map_or(20, |kills| kills.parse().unwrap());
    let (kept, fleeting) = (fresh_id(), fresh_id());
    let backend = Windows::new();
    let held = backend.create(&Key::id(kept).unwrap(), &options(8)).unwrap();
    held.atomic::<AtomicU32>(4).unwrap().store(MARK, SeqCst);
    let steps = held.atomic::<AtomicU32>(0).unwrap();
    let fleeting = Key::id(fleeting).unwrap();
    let Key::Id(number) = &fleeting else { panic!("an integer") };
    let start = || {
        let test =
            concat!(module_path!(), "::use_segments_until_killed").split_once("::").expect("a crate").1;
        Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(CHURN, format!("{kept} {number}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children = [start(), start()];
    for kill in 0..kills {
        let child = &mut children[kill % 2];
        let seen = steps.load(SeqCst);
        while steps.load(SeqCst).wrapping_sub(seen) < 20 + kill as u32 % 7 {
            assert_eq!(child.try_wait().unwrap(), None, "a child failed");
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(held.is_current());
        *child = start();
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(backend.info(&fleeting).unwrap_err(), AttachError::NotFound { key: fleeting.clone() });
    assert_eq!(backend.info(held.key()).unwrap().holders, Some(1));
    assert_eq!(held.detach(), Detached::Destroyed);
    assert_eq!(backend.create(&fleeting, &options(1)).unwrap().detach(), Detached::Destroyed);
}
