//! Leaving everything when a signal ends the process. It still dies of that signal.
//!
//! Our handler stands only where nobody listens in JavaScript: where the action is the default, or Node's own,
//! which restores the terminal and lets the process die. It leaves the segments, puts the old action back and
//! raises the signal again. A `process.on('SIGTERM')` replaces it, and rightly.

use crate::table;
use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use std::{
    mem::MaybeUninit,
    ptr,
    sync::{
        OnceLock,
        atomic::{
            AtomicBool, AtomicI32, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

const SIGNALS: [c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// How long the handler may try for locks. What it leaves, a sweep frees.
const PATIENCE: Duration = Duration::from_millis(20);

/// The action that was there before ours, per signal. The default's or Node's: see [`may_replace`].
struct Replaced {
    action: AtomicUsize,
    flags: AtomicI32,
}

static REPLACED: [Replaced; SIGNALS.len()] =
    [const { Replaced { action: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) } }; SIGNALS.len()];

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

/// Installs the handler for each signal that nobody in JavaScript listens to.
pub(crate) fn arm() {
    // The first process of a container ignores what it raises under the default action (pid_namespaces(7)), so it
    // would live on without its segments.
    if !WANTED.load(SeqCst) || std::process::id() == 1 {
        return;
    }
    for (signal, replaced) in SIGNALS.into_iter().zip(&REPLACED) {
        let Some(current) = action(signal) else { continue };
        if !may_replace(&current) {
            continue;
        }
        replaced.action.store(current.sa_sigaction, SeqCst);
        replaced.flags.store(current.sa_flags, SeqCst);
        set(signal, handler as *const () as usize, libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK);
    }
}

/// A fresh Node has handlers with `SA_RESETHAND` for INT and TERM; libuv's, which run JavaScript, have not.
fn may_replace(current: &libc::sigaction) -> bool {
    let ours = current.sa_sigaction == handler as *const () as usize;
    let nodes = current.sa_flags & libc::SA_RESETHAND != 0 && current.sa_sigaction != libc::SIG_IGN;
    !ours && (current.sa_sigaction == libc::SIG_DFL || nodes)
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

/// Runs on any thread, between any two instructions: system calls and atomics only.
extern "C" fn handler(signal: c_int, _info: *mut siginfo_t, _context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: the signal raised below ends the process.
    unsafe { table::leave_all(Instant::now() + PATIENCE) };
    if let Some(index) = SIGNALS.iter().position(|ours| *ours == signal) {
        let replaced = &REPLACED[index];
        set(signal, replaced.action.load(SeqCst), replaced.flags.load(SeqCst));
    }
    // SAFETY: signal-safety(7) lists it. The signal is blocked here, and delivered when we return.
    unsafe { libc::raise(signal) };
    Errno::set_raw(errno);
}
