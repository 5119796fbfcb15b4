//! Leaves all segments when a signal ends the process. The process still ends by that signal.
//!
//! Our handler is installed only if JavaScript has no listener: if the action is the default, or Node's own, which
//! restores the terminal and lets the process end. The handler leaves the segments, restores the old action and raises
//! the signal again. A `process.on('SIGTERM')` replaces it, as it should.
//!
//! A process may have loaded this library twice, as two packages brought it. Then each copy's handler leaves its own
//! segments and raises the signal for the other.

use crate::{calls, table};
use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use std::{
    ffi::CStr,
    mem::MaybeUninit,
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicBool, AtomicI32, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::{Duration, Instant},
};

const SIGNALS: [c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// How long the handler may wait for calls in progress, and then how long it may try for locks. What it leaves, a sweep
/// frees.
const WAIT: Duration = Duration::from_millis(20);

/// How long a second signal waits for the handler of the first, which takes as long as the machine needs for all that
/// this process holds. It ends by itself; this is a bound for unforeseen cases.
const WAIT_FOR_FIRST: Duration = Duration::from_secs(5);

/// An action that was there before ours.
struct Action {
    handler: AtomicUsize,
    flags: AtomicI32,
}

impl Action {
    const fn default() -> Self {
        Self { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) }
    }

    fn note(&self, current: &libc::sigaction) {
        self.handler.store(current.sa_sigaction, SeqCst);
        self.flags.store(current.sa_flags, SeqCst);
    }
}

/// The action that our handler replaces, for each signal.
struct Replaced {
    /// The default's action, or Node's.
    last: Action,
    /// The handler of another copy of this library.
    copy: Action,
}

static REPLACED: [Replaced; SIGNALS.len()] =
    [const { Replaced { last: Action::default(), copy: Action::default() } }; SIGNALS.len()];

/// Whether a handler of ours has begun to leave everything, and whether it has finished.
static LEAVING: AtomicBool = AtomicBool::new(false);
static LEFT: AtomicBool = AtomicBool::new(false);

/// Off where a handler of ours would do harm: under Deno, whose later `process.on` chains to it.
static WANTED: AtomicBool = AtomicBool::new(true);

/// Turns the handlers off for this process.
pub(crate) fn do_without() {
    WANTED.store(false, SeqCst);
}

/// Installs the handlers, if that was not done just now: a create must not pay for it each time.
pub(crate) fn arm_again() {
    static START: OnceLock<Instant> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
    if now >= NEXT.load(Relaxed) {
        NEXT.store(now + 10, Relaxed);
        arm();
    }
}

/// Installs the handler for each signal that has no listener in JavaScript.
pub(crate) fn arm() {
    // The first process of a container ignores what it raises under the default action (pid_namespaces(7)), so it
    // would live on without its segments.
    if !WANTED.load(SeqCst) || std::process::id() == 1 {
        return;
    }
    for (signal, replaced) in SIGNALS.into_iter().zip(&REPLACED) {
        let Some(current) = action(signal) else { continue };
        if current.sa_sigaction == OURS as usize {
            continue;
        } else if current.sa_sigaction == libc::SIG_DFL || is_nodes(&current) {
            replaced.last.note(&current);
        } else if is_a_copys(&current) {
            replaced.copy.note(&current);
        } else {
            continue;
        }
        set(signal, OURS as usize, libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK);
    }
}

const OURS: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = shm_node_leave_on_signal;

/// A fresh Node has handlers with `SA_RESETHAND` for INT and TERM; libuv's, which run JavaScript, have not.
const fn is_nodes(current: &libc::sigaction) -> bool {
    current.sa_flags & libc::SA_RESETHAND != 0 && current.sa_sigaction != libc::SIG_IGN
}

/// Whether a handler is that of another copy of this library, which is known by its name.
fn is_a_copys(current: &libc::sigaction) -> bool {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    let handler = ptr::with_exposed_provenance(current.sa_sigaction);
    // SAFETY: dladdr(3) takes any address, and writes the structure where it answers other than 0.
    if unsafe { libc::dladdr(handler, found.as_mut_ptr()) } == 0 {
        return false;
    }
    // SAFETY: written, as it did not answer 0.
    let name = unsafe { found.assume_init() }.dli_sname;
    // SAFETY: dladdr(3): null, or the name of the symbol.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == c"shm_node_leave_on_signal"
}

fn action(signal: c_int) -> Option<libc::sigaction> {
    let mut current = MaybeUninit::uninit();
    // SAFETY: it only writes the current action.
    let result = unsafe { libc::sigaction(signal, ptr::null(), current.as_mut_ptr()) };
    // SAFETY: written, as it succeeded.
    (result == 0).then(|| unsafe { current.assume_init() })
}

fn set(signal: c_int, action: usize, flags: c_int) {
    // SAFETY: a sigaction is plain numbers, and zero is a value for each.
    let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sa_sigaction = action;
    new.sa_flags = flags;
    // SAFETY: the mask is ours.
    unsafe { libc::sigfillset(&raw mut new.sa_mask) };
    // SAFETY: the action is our handler below, or one that stood there before.
    unsafe { libc::sigaction(signal, &raw const new, ptr::null_mut()) };
}

/// Runs on any thread, between any two instructions: system calls and atomics only. Exported, so that another copy of
/// the library knows it.
#[unsafe(no_mangle)]
extern "C" fn shm_node_leave_on_signal(signal: c_int, _info: *mut siginfo_t, _context: *mut c_void) {
    let errno = Errno::last_raw();
    if !calls::put_off(signal) {
        end_by(signal);
    }
    Errno::set_raw(errno);
}

fn end_by(signal: c_int) {
    let been_here = LEFT.load(SeqCst);
    if !LEAVING.swap(true, SeqCst) {
        calls::end(Instant::now() + WAIT);
        // SAFETY: the signal raised below ends the process.
        unsafe { table::leave_all(Instant::now() + WAIT) };
        LEFT.store(true, SeqCst);
    }
    // Another signal may have come to another thread meanwhile: the process must not end before the first has done.
    let until = Instant::now() + WAIT_FOR_FIRST;
    while !LEFT.load(SeqCst) && Instant::now() < until {
        thread::sleep(Duration::from_micros(100));
    }
    if let Some(index) = SIGNALS.iter().position(|ours| *ours == signal) {
        let Replaced { last, copy } = &REPLACED[index];
        // Two copies that replaced each other would raise it for ever.
        let has_copy = copy.handler.load(SeqCst) != libc::SIG_DFL && !been_here;
        let next = if has_copy { copy } else { last };
        set(signal, next.handler.load(SeqCst), next.flags.load(SeqCst));
    }
    // SAFETY: signal-safety(7) lists it. The signal is blocked here, and delivered when we return.
    unsafe { libc::raise(signal) };
}
