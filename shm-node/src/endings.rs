//! Leaving everything when a thread or the process ends.
//!
//! | ending | who cleans up |
//! |---|---|
//! | `process.exit`, an uncaught throw, the normal end | JavaScript's `exit` listener, by [`detach_all`] |
//! | the same, where other `exit` listeners came later | when they have run: the environment's clean-up hook or the C library's exit handler |
//! | a worker's end, `terminate()` | the environment's clean-up hook, silently |
//! | a signal | `signals` |
//! | `SIGKILL`, `abort` | the next process's sweep |

use crate::{attachments, backends, backends::Kind, calls, doors, failure::Failure, table};
use napi::Env;
use shm_api::{Detached, Key};
use shm_lifetime::within_a_second;
use std::{
    io::Write,
    sync::{
        Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod linux;
        use linux as system;
    } else {
        mod macos;
        use macos as system;
    }
}

/// How long the end of the main thread waits for other processes to leave first.
pub(crate) const EXIT_PATIENCE: Duration = Duration::from_millis(50);

/// Whether the C library's exit handler tells how many segments were destroyed.
static TELL: AtomicBool = AtomicBool::new(false);

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
                within_a_second(|| attachments::abandon_all(Instant::now()));
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
    });
    Ok(())
}

/// Detaches everything that this thread holds; returns how many segments that destroyed.
pub(crate) fn detach_all(env: Env) -> Result<usize, Failure> {
    detach_all_until(env, Instant::now())
}

fn detach_all_until(env: Env, until: Instant) -> Result<usize, Failure> {
    let mut destroyed = 0;
    for number in attachments::all() {
        destroyed += usize::from(attachments::detach(env, number, until)? == Some(Detached::Destroyed));
    }
    Ok(destroyed)
}

/// The main thread's end: as [`detach_all`], but waits a little for others to leave first, and sweeps.
pub(crate) fn detach_at_exit(env: Env) -> Result<usize, Failure> {
    doors::shut();
    leave_last(|until| detach_all_until(env, until))
}

/// Leaves what this process holds, after those who are about to leave, and what they leave behind by dying.
fn leave_last<T>(leave: impl FnOnce(Instant) -> T) -> T {
    let until = Instant::now() + EXIT_PATIENCE;
    let held = table::names();
    within_a_second(|| {
        let left = leave(until);
        BEEN_HERE.store(true, Relaxed);
        // A cluster whose primary is killed: its workers hear of it before the kernel has let go of its mappings.
        let others_leave = || held.iter().any(|(kind, key)| is_left_by_the_dying(*kind, key));
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
fn is_left_by_the_dying(kind: Kind, key: &Key) -> bool {
    backends::info(kind, key).ok().and_then(|info| info.creator).is_some_and(system::is_dying)
}

/// Sweeps on the way out: a segment that someone else was killed over need not wait for the next process.
fn sweep() {
    for kind in Kind::ALL {
        let _ = backends::sweep(*kind); // on the way out there is nobody to tell
    }
}

/// Leaves the clean-up to the end of the process, when all of JavaScript's listeners have run.
pub(crate) fn leave_to_process_exit(tell: bool) {
    TELL.store(tell, Relaxed);
    doors::shut();
}

/// Leaves what other threads still hold, in a runtime that runs no exit handlers of the C library. They may still run
/// for a moment, and find private memory in place of their segments.
pub(crate) fn leave_the_rest() {
    // SAFETY: the process ends; JavaScript's other threads do not detach any more, and what they touch stays mapped.
    unsafe { table::leave_all(Instant::now() + EXIT_PATIENCE) };
}

extern "C" fn at_exit() {
    let left = if has_more_to_leave() {
        // SAFETY: the process ends; JavaScript's threads have stopped.
        leave_last(|until| unsafe { table::leave_all_at_exit(until) })
    } else {
        0
    };
    let destroyed = left + DESTROYED.load(Relaxed);
    if destroyed > 0 && TELL.load(Relaxed) {
        let _ = writeln!(std::io::stdout(), "shm segments destroyed: {destroyed}");
    }
}
