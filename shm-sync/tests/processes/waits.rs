use crate::shared::{GENEROUS, Shared};
use shm_sync::Outcome;
use std::sync::atomic::Ordering;

pub(crate) fn notify(shared: &Shared) {
    let cell = shared.region().cell(0).unwrap();
    shared.until(0, |ready| ready == 1);
    while shm_sync::notify(cell, 1) == 0 {
        std::thread::yield_now();
    }
}

pub(crate) fn wait(shared: &Shared) {
    let cell = shared.region().cell(0).unwrap();
    shared.word(0).fetch_add(1, Ordering::SeqCst);
    assert_eq!(shm_sync::wait(cell, 0, Some(GENEROUS)).unwrap(), Outcome::Woken);
}

#[test]
fn a_wait_is_woken_by_another_process() {
    let shared = Shared::new(64);
    let child = shared.spawn("notify", 0);
    shared.word(0).store(1, Ordering::SeqCst);
    let cell = shared.region().cell(0).unwrap();
    assert_eq!(shm_sync::wait(cell, 0, Some(GENEROUS)).unwrap(), Outcome::Woken);
    assert!(child.join().success());
}

#[test]
fn a_notify_wakes_as_many_processes_as_it_says() {
    let shared = Shared::new(64);
    let children: Vec<_> = (0..3).map(|_| shared.spawn("wait", 0)).collect();
    let cell = shared.region().cell(0).unwrap();
    shared.until(0, |ready| ready == 3);
    let mut woken = 0;
    while woken < 3 {
        let now = shm_sync::notify(cell, 1);
        assert!(now <= 1);
        woken += now;
    }
    assert!(children.into_iter().all(|child| child.join().success()));
    assert_eq!(shm_sync::notify(cell, u32::MAX), 0);
}
