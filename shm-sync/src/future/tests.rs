use super::*;
use crate::{
    Mutex as SharedMutex,
    testing::{Memory, live},
};
use std::{
    task::Wake,
    thread::{self, Thread},
};

// There a test can see that a thread sleeps.
#[cfg(target_os = "linux")]
mod wake_ups;

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
