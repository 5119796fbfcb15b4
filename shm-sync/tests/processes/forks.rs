//! What a fork's child may do. (The child process of these tests has one thread, so it may fork.)

use crate::shared::{GENEROUS, Shared};
use shm_sync::{
    Barrier, Broadcast, BroadcastOptions, Channel, ChannelOptions, Condition, Mutex, Once, Producers, RwLock,
    Semaphore, Step, SyncError,
    engine::{self, Ended, Engine, Request},
    future::steps_to_future,
};
use std::{
    future::Future,
    io::{self, Write},
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
    time::Duration,
};

pub(crate) fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has, but for the test harness that waits, one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        // SAFETY: it only ends the process.
        unsafe { libc::_exit(outcome.is_err().into()) };
    }
    // What the closure holds stays held here.
    std::mem::forget(child);
    pid
}

pub(crate) fn join(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the status stands on our stack.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0, "the fork's child failed");
}

pub(crate) fn fork_while_holding(shared: &Shared) {
    let options = ChannelOptions { capacity: 1024, producers: Producers::One };
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let semaphore = Semaphore::open(shared.region(), 64, 1, shared.live()).unwrap();
    let channel = Channel::open(shared.region(), 1024, &options, shared.live()).unwrap();
    let ours = shared.live().this_thread().unwrap();
    let (guard, permit) = (mutex.lock().unwrap(), semaphore.acquire().unwrap());
    let mut sender = channel.sender().unwrap();
    let barrier = Barrier::open(shared.region(), 128, 2, shared.live()).unwrap();
    let (mut one, mut two) = (barrier.join().unwrap(), barrier.join().unwrap());
    let mut arrival = one.arrive().unwrap();
    let inner = Mutex::open(shared.region(), 192, shared.live()).unwrap();
    let condition = Condition::open(shared.region(), 208, shared.live()).unwrap();
    let mut waiting = condition.waiting(inner.lock().unwrap()).unwrap();
    let lock = RwLock::open(shared.region(), 256, 2, shared.live()).unwrap();
    let _reader = lock.read().unwrap();
    let mut writing = lock.writing(shared.live().new_owner().unwrap());
    assert!(matches!(writing.step().unwrap(), Step::Wait(_)));
    let named = mutex.for_owner(shared.live().new_owner().unwrap());
    let free = Mutex::open(shared.region(), 512, shared.live()).unwrap();
    let once = Once::open(shared.region(), 544, shared.live()).unwrap();
    let permits = Semaphore::open(shared.region(), 560, 1, shared.live()).unwrap();
    let readable = RwLock::open(shared.region(), 624, 1, shared.live()).unwrap();
    let (mut locking, mut acquiring) = (free.locking(ours), permits.acquiring(ours));
    let (mut reading, mut beginning) = (readable.reading(ours), once.beginning(ours));
    join(fork(|| {
        // Steps would be the parent's.
        assert_eq!(locking.step().unwrap_err(), SyncError::Forked);
        assert_eq!(acquiring.step().unwrap_err(), SyncError::Forked);
        assert_eq!(reading.step().unwrap_err(), SyncError::Forked);
        assert_eq!(beginning.step().unwrap_err(), SyncError::Forked);
        assert_eq!(named.try_lock().unwrap_err(), SyncError::Forked);
        waiting.give_up();
        condition.notify_all();
        assert_eq!(waiting.step().unwrap_err(), SyncError::Forked);
        assert_eq!(writing.step().unwrap_err(), SyncError::Forked);
        assert_eq!(arrival.step().unwrap_err(), SyncError::Forked);
        assert_ne!(shared.live().this_thread().unwrap(), ours, "an id of its own");
        assert!(!shared.live().is_ours(ours) && shared.live().is_alive(ours), "the parent's");
        assert!(mutex.try_lock().unwrap().is_none());
        assert!(semaphore.try_acquire().unwrap().is_none());
        assert!(matches!(mutex.unlock(), Err(SyncError::NotOwner(owner)) if owner == ours));
        assert_eq!(sender.try_send(b"").unwrap_err(), SyncError::Forked);
        // Copies of what the parent holds: dropping them gives nothing back.
        assert_eq!(arrival.give_up(), Err(SyncError::Forked));
        drop((guard, permit, sender, one, waiting, writing));
        assert!(mutex.try_lock().unwrap().is_none());
        assert!(semaphore.try_acquire().unwrap().is_none());
        assert!(channel.sender().is_err());
    }));
    // It is all still ours, the arrival too.
    assert!(two.wait().unwrap(), "the last of two");
    assert!(matches!(mutex.lock(), Err(SyncError::Deadlock)));
    let waiters = shared.region().cell(208 + 12).unwrap();
    assert_eq!(waiters.load(Ordering::SeqCst), 1, "the child has not taken it off the count");
    assert!(inner.try_lock().unwrap().is_some(), "the child has not locked it");
    assert!(lock.is_written());
}

pub(crate) fn fork_with_messages(shared: &Shared) {
    for (offset, producers) in [(0, Producers::One), (1024, Producers::Many)] {
        let options = ChannelOptions { capacity: 256, producers };
        let channel = Channel::open(shared.region(), offset, &options, shared.live()).unwrap();
        let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
        sender.send(b"first").unwrap();
        let (room, message) = (sender.reserve(5).unwrap(), receiver.peek().unwrap());
        join(fork(|| {
            room.commit();
            message.release();
        }));
        drop(sender);
        let mut received = Vec::new();
        receiver.receive(&mut received).unwrap();
        assert_eq!(received, b"first", "it was not released");
        assert!(!receiver.try_receive(&mut received).unwrap(), "nothing else was sent");
    }
    let options = BroadcastOptions { slots: 2, max_message: 100 };
    let broadcast = Broadcast::open(shared.region(), 2048, &options, shared.live()).unwrap();
    let mut producer = broadcast.producer(shared.live()).unwrap();
    let draft = producer.draft(5).unwrap();
    join(fork(|| assert_eq!(draft.commit(), 0)));
    assert!(broadcast.reader().unwrap().next() == 0, "nothing was sent");
}

pub(crate) fn fork_while_waiting(shared: &Shared) {
    let Ok(engine) = engine::Polled::new() else { return shared.word(1).store(1, Ordering::SeqCst) };
    let (send, ended) = std::sync::mpsc::channel();
    let completion = Box::new(move |ended| send.send(ended).unwrap());
    let request = Request { cell: shared.word(0), expected: 0, timeout: None, token: 1, completion };
    // SAFETY: the memory is mapped to the end of the process.
    unsafe { engine.submit(request) }.unwrap();
    assert_eq!(shm_sync::notify(shared.word(0), 1), 1);
    join(fork(|| {
        engine.harvest();
        assert!(!engine.cancel(1));
        assert!(!engine.wait_out(0..usize::MAX, Duration::ZERO));
    }));
    assert!(ended.try_recv().is_err(), "nobody has harvested");
    engine.harvest();
    assert_eq!(ended.try_recv(), Ok(Ended::Woken));
}

pub(crate) fn fork_while_a_future_waits(shared: &Shared) {
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let _guard = mutex.lock().unwrap();
    let mut locking = mutex.locking(shared.live().new_owner().unwrap());
    // SAFETY: the memory is mapped to the end of the process.
    let mut future = unsafe { steps_to_future((), || locking.step()) };
    let mut poll = || Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    join(fork(|| assert!(matches!(poll(), Poll::Ready(Err(SyncError::Forked))))));
}

pub(crate) fn leave_a_child_behind(shared: &Shared) {
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let _guard = mutex.lock().unwrap();
    fork(|| {
        shared.word(1).store(std::process::id(), Ordering::SeqCst);
        std::thread::sleep(4 * GENEROUS);
    });
    shared.until(1, |pid| pid != 0);
    shared.word(0).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

#[test]
fn the_child_of_a_fork_holds_nothing_and_releases_nothing() {
    let shared = Shared::new(4096);
    assert!(shared.spawn("fork while holding", 0).join().success());
}

#[test]
fn the_child_of_a_fork_sends_and_releases_no_message_of_its_parent() {
    let shared = Shared::new(4096);
    assert!(shared.spawn("fork with messages", 0).join().success());
}

#[test]
fn the_child_of_a_fork_harvests_none_of_its_parents_waits() {
    let shared = Shared::new(4096);
    assert!(shared.spawn("fork while waiting", 0).join().success());
    if shared.word(1).load(Ordering::SeqCst) == 1 {
        let _ = writeln!(
            io::stderr(),
            "skipped the_child_of_a_fork_harvests_none_of_its_parents_waits: no io_uring"
        );
    }
}

#[test]
fn a_future_of_the_parent_ends_with_an_error_in_the_child_of_a_fork() {
    let shared = Shared::new(4096);
    assert!(shared.spawn("fork while a future waits", 0).join().success());
}

#[test]
fn a_child_that_lives_does_not_keep_its_killed_parent_alive() {
    let shared = Shared::new(64);
    let parent = shared.spawn("leave a child behind", 0);
    shared.until(0, |forked| forked == 1);
    parent.kill();
    let mutex = Mutex::open(shared.region(), 0, shared.live()).unwrap();
    let guard = mutex.lock_timeout(GENEROUS).unwrap();
    let child = shared.word(1).load(Ordering::SeqCst);
    // SAFETY: it is the grandchild that this test started.
    unsafe { libc::kill(child.cast_signed(), libc::SIGKILL) };
    assert!(guard.expect("the child holds the parent's id").owner_died());
    std::thread::sleep(Duration::from_millis(1));
}
