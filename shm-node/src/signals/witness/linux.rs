//! The witness on Linux: a process that shares our memory and our descriptors, as a thread would, and outlives us.
//!
//! So it is no other holder of our segments while we live. When we are dead, it is the only one left of us, and leaves
//! them as a handler does. If we are still alive after a second, somebody listened to the signal, and the witness ends.
//!
//! It runs on the thread-local storage of the thread that starts it. So a thread of its own does that, which stands
//! still meanwhile (`CLONE_VFORK`). All signals are blocked in both.

use crate::{calls, table};
use libc::{c_int, c_void};
use nix::sys::signal::SigSet;
use std::{
    mem::MaybeUninit,
    os::unix::process::parent_id,
    process, ptr,
    sync::{
        Once, OnceLock,
        atomic::{
            AtomicU8, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// How long a witness waits for our death after the last signal, in milliseconds.
const PATIENCE: u64 = 1000;

/// How long calls wait for it.
const CALLS_WAIT: u64 = 50;

/// How often it looks.
const LOOK: Duration = Duration::from_micros(200);

/// How long a handler waits until there is a witness.
const START: Duration = Duration::from_millis(500);

/// How long the witness tries to get locks, for all segments together.
const WAIT: Duration = Duration::from_millis(100);

const STACK: usize = 64 << 10;

const PARKED: u8 = 0;
const ASKED: u8 = 1;
const WATCHING: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(PARKED);
static STARTER: OnceLock<Thread> = OnceLock::new();

static BEGINNING: OnceLock<Instant> = OnceLock::new();
/// When the last signal came, in milliseconds after [`BEGINNING`].
static SIGNALLED: AtomicU64 = AtomicU64::new(0);

fn milliseconds() -> u64 {
    BEGINNING.get().map_or(0, |beginning| beginning.elapsed().as_millis() as u64)
}

/// Starts the thread that starts witnesses. Without it there are none.
pub(in super::super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        BEGINNING.get_or_init(Instant::now);
        if let Ok(starter) = thread::Builder::new().name("shm-witness".into()).spawn(start_when_asked) {
            let _ = STARTER.set(starter.thread().clone()); // set here only
        }
    });
}

fn since_signal() -> u64 {
    milliseconds().saturating_sub(SIGNALLED.load(Relaxed))
}

/// For a handler: whether there is a witness when this returns. It lets calls go on if the process does.
pub(in super::super) fn call() -> bool {
    let Some(starter) = STARTER.get() else { return false };
    SIGNALLED.store(milliseconds(), Relaxed);
    if STATE.compare_exchange(PARKED, ASKED, SeqCst, SeqCst).is_ok() {
        starter.unpark(); // an atomic, and futex(2)
    }
    let until = Instant::now() + START;
    while STATE.load(SeqCst) == ASKED && Instant::now() < until {
        thread::sleep(LOOK);
    }
    STATE.load(SeqCst) == WATCHING
}

fn start_when_asked() {
    let _ = SigSet::all().thread_block();
    let mut stack = Box::new([MaybeUninit::<u128>::uninit(); STACK / size_of::<u128>()]);
    loop {
        while STATE.load(SeqCst) != ASKED {
            thread::park();
        }
        let end = stack.as_mut_ptr_range().end.cast();
        let parent = ptr::without_provenance_mut(process::id() as usize);
        // Without a signal at its end, the program's own waits for its children do not see it.
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_VFORK;
        // SAFETY: the stack is large enough for what a handler does, and this thread stands still until the witness has
        // ended.
        let pid = unsafe { libc::clone(watch, end, flags, parent) };
        if pid > 0 {
            // SAFETY: it is our child, and null asks for nothing.
            unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) };
        }
        STATE.store(PARKED, SeqCst);
        calls::go_on();
    }
}

/// What the witness does. It uses system calls and atomics only: the threads of a dead process keep their locks.
extern "C" fn watch(parent: *mut c_void) -> c_int {
    let is_alive = || parent_id() as usize == parent.addr();
    STATE.store(WATCHING, SeqCst);
    while is_alive() && since_signal() < PATIENCE {
        thread::sleep(LOOK);
        if since_signal() >= CALLS_WAIT {
            calls::go_on();
        }
    }
    if !is_alive() {
        // SAFETY: the process has ended.
        unsafe { table::leave_all(Instant::now() + WAIT) };
    }
    0
}
