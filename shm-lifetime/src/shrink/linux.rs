//! The handler of SIGBUS, and how it works together with other handlers.

use super::table;
use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use shm_api::OsError;
use std::{
    mem::{self, MaybeUninit},
    num::NonZeroUsize,
    ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst},
};

/// The action that was there before ours. It gets every signal that is not ours. Null until ours was installed. Each is
/// leaked, because a handler may be reading it.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// The size of a page.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

const OURS: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;

/// Makes this process survive if it touches a part of a segment that another process has cut off, or a page for which
/// there is no room. The touched page then reads as zeros, and the segment is marked.
///
/// It installs a handler of SIGBUS for the whole process. So the program should call it, and not a library. Every other
/// SIGBUS goes to the action that was there before. A handler that is installed later comes first; if it does not call
/// this one, the protection is lost. Another call is cheap; it installs the handler again if somebody has restored the
/// default action.
///
/// # Errors
///
/// Those of sigaction(2). There are none for SIGBUS.
pub fn survive() -> Result<(), OsError> {
    let current = action(None)?;
    let is_first = PREVIOUS.load(SeqCst).is_null();
    // A handler that was installed after ours may call ours. To install ours before it again would make a circle.
    if is_ours(&current) || (!is_first && current.sa_sigaction != libc::SIG_DFL) {
        return Ok(());
    }
    // SAFETY: sysconf(3) has no preconditions.
    if let Ok(page) = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) {
        PAGE.store(page, SeqCst);
    }
    // Known before ours can run.
    PREVIOUS.store(Box::into_raw(Box::new(current)), SeqCst);
    let replaced = action(Some(&ours()))?;
    if !is_ours(&replaced) && replaced.sa_sigaction != current.sa_sigaction {
        // Another thread has installed it meanwhile.
        PREVIOUS.store(Box::into_raw(Box::new(replaced)), SeqCst);
    }
    Ok(())
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == OURS as usize
}

/// `SA_ONSTACK`: a thread of Go's, Rust's or V8's may have a small stack, and another one for signals.
fn ours() -> libc::sigaction {
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    plain(OURS as usize, flags)
}

fn plain(handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: a sigaction is plain numbers, and zero is a value for each: an empty mask, too.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

/// The action of SIGBUS, which `new` replaces.
fn action(new: Option<&libc::sigaction>) -> Result<libc::sigaction, OsError> {
    let mut old = MaybeUninit::uninit();
    // SAFETY: the new action is our handler or one that stood there before; the old one is ours to write.
    let result =
        unsafe { libc::sigaction(libc::SIGBUS, new.map_or(ptr::null(), ptr::from_ref), old.as_mut_ptr()) };
    if result != 0 {
        return Err(OsError::new("sigaction", Errno::last_raw()));
    }
    // SAFETY: written, as it succeeded.
    Ok(unsafe { old.assume_init() })
}

/// Runs on any thread, at any touch of memory: system calls and atomics only.
extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: sigaction(2): with SA_SIGINFO, the kernel passes a siginfo_t, which is there until we return.
    let fault = unsafe { &*info };
    let code = fault.si_code;
    // Any other code is no touch of memory, or of memory that is broken or not aligned.
    let is_survived = code == libc::BUS_ADRERR && {
        // SAFETY: sigaction(2): SIGBUS of a code above 0 "fills in si_addr with the address of the fault".
        let address = unsafe { fault.si_addr() }.addr();
        NonZeroUsize::new(PAGE.load(SeqCst)).is_some_and(|page| table::survive_at(address, page))
    };
    if !is_survived {
        pass_on(signal, info, context, code);
    }
    Errno::set_raw(errno);
}

/// Does what the action before ours would have done.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, code: c_int) {
    // SAFETY: null, or an action that `survive` leaked.
    let previous = unsafe { PREVIOUS.load(SeqCst).as_ref() };
    let (handler, flags) =
        previous.map_or((libc::SIG_DFL, 0), |action| (action.sa_sigaction, action.sa_flags));
    // A touch, which is tried again when we return; anything else comes once.
    let is_touch = code > 0 && code != libc::BUS_MCEERR_AO;
    match (handler, previous) {
        // signal(7): a signal that is ignored and comes of a touch ends the process all the same.
        (libc::SIG_IGN, _) if !is_touch => {}
        (libc::SIG_DFL | libc::SIG_IGN, _) | (_, None) => end_by(signal, is_touch),
        (_, Some(action)) => {
            if flags & libc::SA_RESETHAND != 0 {
                // As the kernel would: it is called once. Ours goes too, as its caller means to end by the next one.
                let _ = self::action(Some(&plain(libc::SIG_DFL, 0)));
            }
            with_mask(action, || {
                if flags & libc::SA_SIGINFO != 0 {
                    // SAFETY: sigaction(2): with SA_SIGINFO, it is a function of these three.
                    let call: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        unsafe { mem::transmute(handler) };
                    call(signal, info, context);
                } else {
                    // SAFETY: sigaction(2): without it, it is a function of the signal.
                    let call: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
                    call(signal);
                }
            });
        }
    }
}

/// Runs a handler with the signals blocked that it was installed with.
fn with_mask(action: &libc::sigaction, call: impl FnOnce()) {
    let mut mask = MaybeUninit::uninit();
    // SAFETY: signal-safety(7) lists it; the old mask is ours to write.
    let blocked =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const action.sa_mask, mask.as_mut_ptr()) };
    call();
    if blocked == 0 {
        // SAFETY: written, as it succeeded.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask.as_ptr(), ptr::null_mut()) };
    }
}

/// Ends the process by the default action, which leaves a core of the place where it happened.
fn end_by(signal: c_int, is_touch: bool) {
    let _ = action(Some(&plain(libc::SIG_DFL, 0)));
    if !is_touch {
        // SAFETY: signal-safety(7) lists it. The signal is blocked here, and delivered when we return.
        unsafe { libc::raise(signal) };
    }
}
