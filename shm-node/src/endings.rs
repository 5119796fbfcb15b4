//! Leaves all segments when a thread or the process ends.
//!
//! | ending | who cleans up |
//! |---|---|
//! | `process.exit`, an uncaught throw, the normal end | JavaScript's `exit` listener, by [`detach_all`] |
//! | the same, with later `exit` listeners | later, the environment's clean-up hook or the C library's exit handler |
//! | `process.reallyExit`; in Deno, `Deno.exit` and an uncaught throw | the same, without the listener |
//! | a worker's end, `terminate()` | the environment's clean-up hook, silently |
//! | a signal | `signals` |
//! | `SIGKILL`, `abort` | the next process's sweep |

use crate::{
    attachments, backends,
    backends::{BackendId, within_a_second},
    calls, doors,
    failure::Failure,
    table,
};
use napi::Env;
use napi_derive::napi;
use shm_api::{Detached, Key};
use std::{
    cell::Cell,
    mem,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        mod unix;
        use linux as system;
    } else if #[cfg(unix)] {
        mod macos;
        mod unix;
        use macos as system;
    } else {
        mod windows;
        use windows as system;
    }
}

/// How long the end of the main thread waits at most for other processes that are about to leave.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// The child processes that JavaScript knows to be alive as the main thread ends.
#[napi(object, object_to_js = false)]
#[derive(Debug, Default)]
pub struct Children {
    /// Those that it told to go.
    pub told: Vec<u32>,
    /// The other children, which another process may have killed.
    pub others: Vec<u32>,
}

impl Children {
    const fn none() -> Self {
        Self { told: Vec::new(), others: Vec::new() }
    }

    /// Whether one of them is about to leave what it holds.
    fn one_leaves(&self) -> bool {
        self.told.iter().any(|pid| system::is_running(*pid))
            || self.others.iter().any(|pid| system::is_dying(*pid))
    }
}

/// The children at the main thread's end, for the C library's exit handler.
static CHILDREN: Mutex<Children> = Mutex::new(Children::none());

/// Whether the C library's exit handler tells how many segments were destroyed, unless it is to be quiet.
static TELL: AtomicBool = AtomicBool::new(false);

/// How long the segments of a child may stay after its end: in Deno, its witness leaves them.
static LINGER_MS: AtomicU64 = AtomicU64::new(0);

/// How many the main thread's clean-up hook destroyed.
static DESTROYED: AtomicUsize = AtomicUsize::new(0);

/// The main thread's end has come to [`leave_last`].
static BEEN_HERE: AtomicBool = AtomicBool::new(false);

fn has_more_to_leave() -> bool {
    !BEEN_HERE.load(Relaxed) || !table::names().is_empty()
}

/// Prepares for the end of this environment's thread, and of the process.
pub(crate) fn prepare(env: &Env, main_thread: bool) -> napi::Result<()> {
    env.add_env_cleanup_hook((), move |()| {
        calls::whole(|| {
            if !main_thread {
                within_a_second(|| attachments::abandon_all(&|| false));
            } else if has_more_to_leave() {
                DESTROYED.fetch_add(leave_last(attachments::abandon_all), Relaxed);
            }
        });
    })?;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        system::stay_loaded(at_exit as *const ());
        // SAFETY: the handler may run at any exit; the library stays loaded, so it is still there.
        unsafe { libc::atexit(at_exit) };
        system::run_at_quick_exit(at_exit);
    });
    Ok(())
}

/// Prepares for the end of the main thread of Deno, which calls no `exit` listener at an uncaught throw, nor at
/// `Deno.exit()`: there the C library's exit handler tells.
pub(crate) fn prepare_deno() {
    TELL.store(true, Relaxed);
    LINGER_MS.store(100, Relaxed);
}

/// Detaches everything that this thread holds; returns how many segments were destroyed.
pub(crate) fn detach_all(env: Env) -> Result<usize, Failure> {
    let mut destroyed = 0;
    for number in attachments::all() {
        destroyed += usize::from(attachments::detach(env, number)? == Some(Detached::Destroyed));
    }
    Ok(destroyed)
}

/// The main thread's end: detaches everything, after the children that are about to leave it, and sweeps. Returns how
/// many segments that destroyed of those that are counted.
pub(crate) fn detach_at_exit(env: Env, children: Children) -> usize {
    TELL.store(false, Relaxed);
    doors::shut();
    remember(children);
    leave_last(|others_leave| {
        let destroys = |number: &attachments::Number| {
            let counted = attachments::is_counted(*number);
            // If one fails, the others still go.
            let detached = attachments::detach_after(env, *number, others_leave);
            counted && matches!(detached, Ok(Some(Detached::Destroyed)))
        };
        attachments::all().into_iter().filter(destroys).count()
    })
}

fn remember(children: Children) {
    *CHILDREN.lock().unwrap_or_else(PoisonError::into_inner) = children;
}

/// Runs `work` with the answer to whether one of the children is about to leave, until patience ends.
pub(crate) fn with_patience<T>(children: &Children, work: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
    let begin = Instant::now();
    let linger = Duration::from_millis(LINGER_MS.load(Relaxed));
    let seen = Cell::new((!linger.is_zero() && !children.told.is_empty()).then_some(begin));
    work(&|| {
        let now = Instant::now();
        if children.one_leaves() {
            seen.set(Some(now));
        }
        now < begin + EXIT_WAIT && seen.get().is_some_and(|seen| now <= seen + linger)
    })
}

/// Leaves what this process holds, after the processes that are about to leave, and frees what they leave behind when
/// they die.
fn leave_last<T>(leave: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
    let until = Instant::now() + EXIT_WAIT;
    let held = table::names();
    let children = mem::take(&mut *CHILDREN.lock().unwrap_or_else(PoisonError::into_inner));
    within_a_second(|| {
        let left = with_patience(&children, leave);
        BEEN_HERE.store(true, Relaxed);
        // A cluster whose primary is killed: its workers hear of it before the kernel has let go of its mappings.
        let others_leave = || held.iter().any(|(backend, key)| is_left_by_the_dying(*backend, key));
        // Asked before each sweep, so that the last one comes after their end.
        while others_leave() && Instant::now() < until {
            sweep();
            thread::sleep(Duration::from_micros(500));
        }
        sweep();
        left
    })
}

/// Whether a segment is still there while its creator is on the way out.
fn is_left_by_the_dying(backend: BackendId, key: &Key) -> bool {
    backends::info(backend, key).ok().and_then(|info| info.creator).is_some_and(system::is_dying)
}

/// Sweeps on the way out: a segment that a killed process left need not wait for the next process.
fn sweep() {
    for backend in BackendId::ALL {
        let _ = backends::sweep(*backend); // on the way out there is nobody to tell
    }
}

/// Leaves the clean-up to the end of the process, when all of JavaScript's listeners have run.
pub(crate) fn leave_to_process_exit(tell: bool, children: Children) {
    TELL.store(tell, Relaxed);
    remember(children);
    doors::shut();
}

extern "C" fn at_exit() {
    let left = if has_more_to_leave() {
        // SAFETY: the process ends. JavaScript's threads have stopped, or find private memory in place of the segments.
        leave_last(|others_leave| unsafe { table::leave_all_at_exit(others_leave) })
    } else {
        0
    };
    let destroyed = left + DESTROYED.load(Relaxed);
    if TELL.load(Relaxed) && std::env::var_os("SHM_NODE_QUIET").is_none_or(|value| value != "1") {
        tell(destroyed);
    }
}

/// Prints the last line of the specification's example. If it cannot be written, it is left out.
pub(crate) fn tell(destroyed: usize) {
    if destroyed == 0 {
        return;
    }
    system::print(format!("shm segments destroyed: {destroyed}\n").as_bytes());
}
