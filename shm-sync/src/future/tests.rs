use super::*;
use crate::{
    Mutex as SharedMutex,
    testing::{Memory, live},
};
use std::{
    sync::mpsc,
    task::Wake,
    thread::{self, Thread},
};

const GENEROUS: Duration = Duration::from_secs(10);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
fn run<T>(mut future: impl Future<Output = T> + Unpin) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Steps that wait on a word while it is 0.
fn while_zero<'a>(cell: &'a AtomicU32) -> impl FnMut() -> Result<Step<'a, ()>, SyncError> {
    move || match cell.load(Ordering::SeqCst) {
        0 => Ok(Step::Wait(Pause { cell, expected: 0 })),
        _ => Ok(Step::Ready(())),
    }
}

/// An engine whose waits end when the test says so.
#[derive(Debug, Default)]
struct Obedient {
    requests: Mutex<Vec<Request>>,
    cancelled: Mutex<Vec<u64>>,
}

impl Obedient {
    fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    fn end(&self, ended: Ended) {
        (self.requests.lock().pop().unwrap().completion)(ended);
    }
}

impl Engine for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    unsafe fn submit(&self, request: Request) -> Result<(), SyncError> {
        self.requests.lock().push(request);
        Ok(())
    }

    fn cancel(&self, token: u64) -> bool {
        self.cancelled.lock().push(token);
        true
    }

    fn cancel_in(&self, _: Range<usize>) -> usize {
        0
    }

    fn wait_out(&self, _: Range<usize>, _: Duration) -> bool {
        true
    }

    fn pending(&self) -> usize {
        self.requests.lock().len()
    }
}

fn begin<K: Send + 'static>(engine: &'static Obedient, cell: &AtomicU32, keep: K) -> Wait {
    // SAFETY: the tests keep their memory until all waits have ended.
    unsafe { Wait::begin(engine, Pause { cell, expected: 0 }, keep, Waker::noop()) }.unwrap()
}

#[test]
fn a_future_is_ready_when_a_step_is() {
    let memory = Memory::new(64);
    let mutex = SharedMutex::open(memory.region(), 0, live()).unwrap();
    let mut locking = mutex.locking(live().new_owner().unwrap());
    let guard = mutex.lock().unwrap();
    thread::scope(|scope| {
        // SAFETY: the memory outlives the threads, and each of them ends its waits.
        let locked = unsafe { steps_to_future((), || locking.step()) };
        let task = scope.spawn(move || run(locked).map(|guard| guard.owner_died()));
        drop(guard);
        assert_eq!(task.join().unwrap(), Ok(false));
    });
}

#[test]
fn dropping_a_future_cancels_its_wait_and_frees_what_it_kept() {
    let memory = Memory::new(64);
    let (engine, keep) = (Obedient::new(), Arc::new(()));
    let wait = begin(engine, memory.region().cell(0).unwrap(), keep.clone());
    let token = wait.token;
    drop(wait);
    assert_eq!(*engine.cancelled.lock(), [token]);
    assert_eq!(Arc::strong_count(&keep), 2, "the word stays mapped until the wait has ended");
    engine.end(Ended::Cancelled);
    assert_eq!(Arc::strong_count(&keep), 1);
}

#[test]
fn leaking_a_future_keeps_the_word_mapped_while_the_engine_waits() {
    let memory = Memory::new(64);
    let (engine, keep) = (Obedient::new(), Arc::new(()));
    std::mem::forget(begin(engine, memory.region().cell(0).unwrap(), keep.clone()));
    assert_eq!(Arc::strong_count(&keep), 2);
    engine.end(Ended::TimedOut);
    assert_eq!(Arc::strong_count(&keep), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn the_wake_up_of_a_dropped_future_wakes_another_waiter() {
    let memory = Memory::new(64);
    let cell = memory.region().cell(0).unwrap();
    for dropped_first in [true, false] {
        let engine = Obedient::new();
        let wait = begin(engine, cell, ());
        expect_a_wake_up(&memory, || {
            if dropped_first {
                drop(wait);
                engine.end(Ended::Woken);
            } else {
                engine.end(Ended::Woken);
                drop(wait);
            }
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_wake_up_of_a_real_wait_is_passed_on_too() {
    let memory = Memory::new(64);
    let cell = memory.region().cell(0).unwrap();
    // SAFETY: the memory outlives the waits: the last line waits for them.
    let mut future = unsafe { steps_to_future((), while_zero(cell)) };
    // A wait lasts for 10 ms, so this may meet the end of one: then the next begins.
    loop {
        assert!(poll(&mut future).is_pending());
        if notify(cell, 1) == 1 {
            break;
        }
    }
    expect_a_wake_up(&memory, || drop(future));
    let start = memory.region().as_ptr().addr().get();
    end_waits(start..start + 64);
}

/// Sleeps on the word at 0 without a time limit, and has `what` wake it.
#[cfg(target_os = "linux")]
fn expect_a_wake_up(memory: &Memory, what: impl FnOnce()) {
    let (cell, aside) = (memory.region().cell(0).unwrap(), memory.region().cell(60).unwrap());
    let (tell, woken) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || tell.send(crate::wait(aside, 0, None)).unwrap());
        // It has gone to sleep when it can be moved over to the word.
        while requeue(aside, cell) == 0 {
            thread::yield_now();
        }
        what();
        let woken = woken.recv_timeout(GENEROUS);
        notify(cell, u32::MAX); // so that a failure ends, too
        assert_eq!(woken, Ok(Ok(crate::Outcome::Woken)));
    });
}

/// Moves one who sleeps on a word that is 0 over to another; tells how many were there.
#[cfg(target_os = "linux")]
fn requeue(from: &AtomicU32, to: &AtomicU32) -> libc::c_long {
    // SAFETY: both words are mapped, and the kernel only compares the first.
    unsafe {
        libc::syscall(libc::SYS_futex, from.as_ptr(), libc::FUTEX_CMP_REQUEUE, 0, 1usize, to.as_ptr(), 0)
    }
}
