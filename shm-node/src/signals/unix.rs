//! Leaves all segments when a signal ends the process. The process still ends by that signal.
//!
//! Our handler is installed only if JavaScript has no listener: if the action is the default, or Node's own, which
//! restores the terminal and lets the process end. The handler leaves the segments, restores the old action and raises
//! the signal again. A `process.on('SIGTERM')` replaces it, as it should.
//!
//! Deno installs handlers of its own at the first listener of any signal, or half a second after its start. They call
//! those that they replaced. Then a thread of Deno looks whether somebody listens, and if nobody does, it ends the
//! process. Our handlers cannot know that. So they call a [`witness`]: ours where Deno has replaced it, and another that
//! we put in the place of Deno's, and that calls Deno's.
//!
//! A process may have loaded this library twice, as two packages brought it. Then each copy's handler leaves its own
//! segments and raises the signal for the other.

use super::witness;
use crate::{calls, table};
use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use std::{
    ffi::CStr,
    mem::{self, MaybeUninit},
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

    /// Calls the handler, if it is one.
    fn call(&self, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let handler = self.handler.load(SeqCst);
        if ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler) {
            // SAFETY: sigaction(2) told of it as a handler. One that takes the signal alone does not see the rest.
            let handler: Handler = unsafe { mem::transmute(handler) };
            handler(signal, info, context);
        }
    }
}

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// The action that our handler replaces, for each signal.
struct Replaced {
    /// The default's action, Node's, or Deno's.
    last: Action,
    /// The handler of another copy of this library.
    copy: Action,
    /// Our other handler was put in the place of Deno's. It stays there, or what replaces it calls it.
    before_denos: AtomicBool,
}

impl Replaced {
    const fn none() -> Self {
        Self { last: Action::default(), copy: Action::default(), before_denos: AtomicBool::new(false) }
    }
}

static REPLACED: [Replaced; SIGNALS.len()] = [const { Replaced::none() }; SIGNALS.len()];

/// Whether a handler of ours has begun to leave everything, and whether it has finished.
static LEAVING: AtomicBool = AtomicBool::new(false);
static LEFT: AtomicBool = AtomicBool::new(false);

/// Whether the runtime is Deno. Its threads have alternate stacks of 8 KiB, of which the kernel's own record of the
/// registers takes a part: our handlers do not run there.
static IS_DENO: AtomicBool = AtomicBool::new(false);

/// Whether the runtime is Bun. It emits no `removeListener`, so a create has to see whether a listener has gone.
static IS_BUN: AtomicBool = AtomicBool::new(false);

/// Prepares for what a runtime does differently from Node.
pub(crate) fn prepare(runtime: &str) {
    IS_DENO.store(runtime == "deno", SeqCst);
    IS_BUN.store(runtime == "bun", SeqCst);
    if runtime == "deno" {
        witness::prepare();
    }
}

/// Installs the handlers, if that was not done just now: a create must not pay for it each time.
pub(crate) fn arm_again() {
    if IS_BUN.load(Relaxed) {
        return arm();
    }
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
    if std::process::id() == 1 {
        return;
    }
    let is_deno = IS_DENO.load(SeqCst);
    let stack = if is_deno { 0 } else { libc::SA_ONSTACK };
    for (signal, replaced) in SIGNALS.into_iter().zip(&REPLACED) {
        let Some(current) = action(signal) else { continue };
        let mut ours = OURS;
        if [OURS as usize, BEFORE_DENOS as usize].contains(&current.sa_sigaction) {
            continue;
        } else if current.sa_sigaction == libc::SIG_DFL || is_nodes(&current) {
            replaced.last.note(&current);
        } else if is_a_copys(&current) {
            replaced.copy.note(&current);
        } else if is_deno && can_go_before(&current, replaced) {
            replaced.last.note(&current);
            ours = BEFORE_DENOS;
        } else {
            continue;
        }
        set(signal, ours as usize, libc::SA_SIGINFO | libc::SA_RESTART | stack);
    }
}

/// Whether our handler may come before another one. It does so once, or else two would call each other for ever.
fn can_go_before(current: &libc::sigaction, replaced: &Replaced) -> bool {
    current.sa_sigaction != libc::SIG_IGN && !replaced.before_denos.swap(true, SeqCst)
}

/// Whether our handler was called by Deno's, which has replaced it. (The kernel calls the one that is there.)
fn is_called_by_denos(signal: c_int) -> bool {
    IS_DENO.load(SeqCst) && action(signal).is_some_and(|current| current.sa_sigaction != OURS as usize)
}

const OURS: Handler = shm_node_leave_on_signal;
const BEFORE_DENOS: Handler = watch_before_denos;

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
extern "C" fn shm_node_leave_on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    if is_called_by_denos(signal) {
        call_witness();
        if let Some(Replaced { copy, .. }) = replaced(signal) {
            copy.call(signal, info, context);
        }
    } else if !calls::put_off(signal) {
        end_by(signal);
    }
    Errno::set_raw(errno);
}

/// Runs as [`shm_node_leave_on_signal`] does, where Deno's handler was.
extern "C" fn watch_before_denos(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    if !calls::put_off(signal) {
        call_witness();
        if let Some(Replaced { last, .. }) = replaced(signal) {
            last.call(signal, info, context);
        }
    }
    Errno::set_raw(errno);
}

/// Calls a witness. For a moment, until Deno has decided, no call begins.
fn call_witness() {
    if witness::call() {
        calls::end(Instant::now() + WAIT);
    }
}

fn replaced(signal: c_int) -> Option<&'static Replaced> {
    SIGNALS.iter().position(|ours| *ours == signal).map(|index| &REPLACED[index])
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
    if let Some(Replaced { last, copy, .. }) = replaced(signal) {
        // Two copies that replaced each other would raise it for ever.
        let has_copy = copy.handler.load(SeqCst) != libc::SIG_DFL && !been_here;
        let next = if has_copy { copy } else { last };
        set(signal, next.handler.load(SeqCst), next.flags.load(SeqCst));
    }
    // SAFETY: signal-safety(7) lists it. The signal is blocked here, and delivered when we return.
    unsafe { libc::raise(signal) };
}
