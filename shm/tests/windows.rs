//! What this crate gives on Windows: segments, by either kind of key, that two processes share.
#![cfg(windows)]

use shm_segments::{
    Error, Segment,
    api::{AttachError, CreateError},
};
use std::{
    env, process,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

/// Set in the second process: the key that it attaches.
const PEER: &str = "SHM_TESTS_PEER";

/// No test of its own: what the second process of the next one does.
#[test]
fn add_one() {
    let Ok(key) = env::var(PEER) else { return };
    let segment = match key.parse::<u32>() {
        Ok(id) => Segment::attach(id).unwrap(),
        Err(_) => Segment::attach(key.as_str()).unwrap(),
    };
    assert_eq!(segment.size(), 100);
    segment.atomic::<AtomicU32>(0).unwrap().fetch_add(1, SeqCst);
}

fn add_in_another_process(key: &str) {
    let status = Command::new(env::current_exe().unwrap())
        .args(["add_one", "--exact"])
        .env(PEER, key)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn two_processes_share_a_segment_by_a_name_and_by_an_integer() {
    let name = format!("shm-test-facade-{}", process::id());
    let id = 1 << 31 | process::id();
    let named = Segment::open(name.as_str(), 100).unwrap();
    let numbered = Segment::create(id, 100).unwrap();
    for (segment, key) in [(&named, name.clone()), (&numbered, id.to_string())] {
        add_in_another_process(&key);
        add_in_another_process(&key);
        assert_eq!(segment.get::<u32>(0), Ok(2));
    }
    assert!(matches!(Segment::create(id, 1), Err(Error::Create(CreateError::Exists { .. }))));
    drop((named, numbered));
    assert!(matches!(Segment::attach(id), Err(Error::Attach(AttachError::NotFound { .. }))));
    assert!(matches!(Segment::attach(name.as_str()), Err(Error::Attach(AttachError::NotFound { .. }))));
}
