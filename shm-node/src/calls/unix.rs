//! Calls that create, attach or leave segments: a signal that ends the process must not interrupt them half-way.
//!
//! A handler that interrupts such a call, on its thread, puts the signal off until the call is done. One that runs on
//! another thread waits for the calls in progress, and keeps others from beginning.

use libc::c_int;
use std::{
    ptr,
    sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// One thread that calls. Those of ended threads are used again, and never freed: a handler walks them.
struct Caller {
    /// Its `pthread_self`; 0 where the thread has ended.
    thread: AtomicUsize,
    /// How many calls it is in.
    depth: AtomicU32,
    next: AtomicPtr<Caller>,
}

static CALLERS: AtomicPtr<Caller> = AtomicPtr::new(ptr::null_mut());

/// A handler leaves everything: no further call begins.
static ENDING: AtomicBool = AtomicBool::new(false);

/// The signal that interrupted a call; 0 is none.
static PUT_OFF: AtomicI32 = AtomicI32::new(0);

const POLL: Duration = Duration::from_micros(100);

fn callers() -> impl Iterator<Item = &'static Caller> {
    // SAFETY: null, or a caller that `Mine::new` leaked.
    let first = unsafe { CALLERS.load(Acquire).as_ref() };
    std::iter::successors(first, |caller| {
        // SAFETY: as above.
        unsafe { caller.next.load(Acquire).as_ref() }
    })
}

/// pthread_self(3), which signal-safety(7) lists.
fn this_thread() -> usize {
    // SAFETY: it has no preconditions.
    unsafe { libc::pthread_self() as usize }
}

/// The caller of one thread, given back when the thread ends.
struct Mine(&'static Caller);

impl Mine {
    fn new() -> Self {
        let thread = this_thread();
        let is_free = |caller: &&Caller| caller.thread.compare_exchange(0, thread, AcqRel, Relaxed).is_ok();
        if let Some(caller) = callers().find(is_free) {
            return Self(caller);
        }
        let (thread, depth) = (AtomicUsize::new(thread), AtomicU32::new(0));
        let caller = Box::leak(Box::new(Caller { thread, depth, next: AtomicPtr::new(ptr::null_mut()) }));
        let new = ptr::from_mut(caller);
        let mut first = CALLERS.load(Acquire);
        loop {
            caller.next.store(first, Relaxed);
            match CALLERS.compare_exchange(first, new, AcqRel, Acquire) {
                Ok(_) => return Self(caller),
                Err(other) => first = other,
            }
        }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.0.thread.store(0, Release);
    }
}

thread_local! {
    static MINE: Mine = Mine::new();
}

/// Runs a call that no signal interrupts half-way.
pub(crate) fn whole<T>(call: impl FnOnce() -> T) -> T {
    // An error means that this thread is ending. Thread-local storage is gone; run unguarded.
    let _inside = MINE.try_with(|mine| Inside::new(mine.0)).ok();
    call()
}

struct Inside(&'static Caller);

impl Inside {
    fn new(caller: &'static Caller) -> Self {
        if caller.depth.fetch_add(1, SeqCst) == 0 && ENDING.load(SeqCst) {
            Self::wait_for_the_end(caller);
        }
        Self(caller)
    }

    /// The process is about to end; a call that began now would leave its segment behind.
    #[cold]
    fn wait_for_the_end(caller: &Caller) {
        caller.depth.fetch_sub(1, SeqCst);
        let until = Instant::now() + Duration::from_millis(100);
        while ENDING.load(SeqCst) && Instant::now() < until {
            thread::sleep(POLL);
        }
        caller.depth.fetch_add(1, SeqCst);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.0.depth.fetch_sub(1, SeqCst) == 1 && PUT_OFF.load(SeqCst) != 0 {
            let signal = PUT_OFF.swap(0, SeqCst);
            if signal != 0 {
                // SAFETY: raise takes an integer.
                unsafe { libc::raise(signal) };
            }
        }
    }
}

/// For a handler: puts its signal off where it interrupted a call; tells whether it did.
pub(crate) fn put_off(signal: c_int) -> bool {
    let thread = this_thread();
    let inside =
        callers().any(|caller| caller.thread.load(Acquire) == thread && caller.depth.load(SeqCst) > 0);
    if inside {
        PUT_OFF.store(signal, SeqCst);
    }
    inside
}

/// For a handler: no call begins any more, and those of other threads have ended, or time is up.
pub(crate) fn end(deadline: Instant) {
    let thread = this_thread();
    let is_inside = |caller: &Caller| caller.depth.load(SeqCst) > 0 && caller.thread.load(Acquire) != thread;
    ENDING.store(true, SeqCst);
    while callers().any(is_inside) && Instant::now() < deadline {
        thread::sleep(POLL);
    }
}

/// For a witness: the process has not ended, and calls begin again.
#[cfg(target_os = "linux")]
pub(crate) fn go_on() {
    ENDING.store(false, SeqCst);
}
