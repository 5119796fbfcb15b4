//! Where a storm may kill us, and which check it may leave out: for the crates of this workspace and their tests, and
//! empty in an ordinary build.
//!
//! `--cfg shm_storm` compiles the faults in. Then `SHM_STORM_KILL=N` (or `arm`) kills the process at one step in N,
//! `SHM_STORM_SKIP=lock` (or another name below) leaves a check out, so that a storm can show that it is
//! needed. `SHM_STORM_NAMED=1` makes do without unnamed objects, `SHM_STORM_NAMED=late` has them and cannot name them,
//! as where there is no /proc.

/// A check of the protocol that a mutant leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The lock per name.
    Lock,
    /// The kernel's word (lease, `shm_nattch`) before a destroy.
    Holders,
    /// System V: mode 0 while the kernel is asked a second time.
    ModeGuard,
    /// The marks of holders, where the kernel's word is none.
    Marks,
    /// The entry is written before the create, not after it.
    EntryFirst,
    /// The entry stays when a holder leaves and others remain.
    EntryStays,
}

#[cfg(not(shm_storm))]
mod imp {
    use super::Check;

    /// A step of the protocol at which a process may die.
    #[cfg(not(all(test, unix)))]
    #[inline(always)]
    pub const fn step() {}

    #[cfg(all(test, unix))]
    pub fn step() {
        super::between_steps::pause();
    }

    /// Whether this build leaves the check out.
    #[inline(always)]
    pub const fn skips(_check: Check) -> bool {
        false
    }

    /// Whether POSIX objects are to be made as on a system that has none without a name.
    #[inline(always)]
    pub const fn lacks_unnamed_objects() -> bool {
        false
    }

    /// Whether they are to be made as on one that cannot give them a name.
    #[inline(always)]
    pub const fn cannot_name_objects() -> bool {
        false
    }
}

/// For the tests of this crate: what others do while this thread is between two steps.
#[cfg(all(test, unix, not(shm_storm)))]
pub(crate) mod between_steps {
    use std::cell::Cell;

    thread_local! {
        static OTHERS: Cell<Option<Box<dyn FnMut()>>> = const { Cell::new(None) };
    }

    /// Makes a call, and at each of its steps one of others.
    pub(crate) fn interrupted<T>(others: impl FnMut() + 'static, call: impl FnOnce() -> T) -> T {
        OTHERS.set(Some(Box::new(others)));
        let called = call();
        OTHERS.set(None);
        called
    }

    /// Their own steps are not interrupted.
    pub(super) fn pause() {
        if let Some(mut others) = OTHERS.take() {
            others();
            OTHERS.set(Some(others));
        }
    }
}

#[cfg(shm_storm)]
mod imp {
    use super::Check;
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static STATE: AtomicU64 = AtomicU64::new(0);
    static ONE_IN: OnceLock<AtomicU64> = OnceLock::new();

    fn one_in() -> &'static AtomicU64 {
        ONE_IN.get_or_init(|| {
            STATE.store(u64::from(std::process::id()) << 32 | 0x9e37_79b9, Ordering::Relaxed);
            let wanted = std::env::var("SHM_STORM_KILL").ok().and_then(|text| text.parse().ok());
            AtomicU64::new(wanted.unwrap_or(0))
        })
    }

    /// From now on, one step of `steps` ends this process with SIGKILL.
    pub fn arm(seed: u64, steps: u64) {
        one_in().store(steps, Ordering::Relaxed);
        STATE.store(seed, Ordering::Relaxed);
    }

    static STEPS: AtomicU64 = AtomicU64::new(0);
    static LAST: AtomicU64 = AtomicU64::new(0);
    static LAST_WORDS: OnceLock<fn()> = OnceLock::new();

    /// From now on, steps are counted, and the one of this number ends this process with SIGKILL, after `last_words`.
    pub fn arm_at(step: u64, last_words: fn()) {
        LAST_WORDS.get_or_init(|| last_words);
        STEPS.store(0, Ordering::Relaxed);
        LAST.store(step, Ordering::Relaxed);
    }

    /// How many steps have been counted.
    pub fn steps() -> u64 {
        STEPS.load(Ordering::Relaxed)
    }

    /// A step of the protocol at which a process may die.
    pub fn step() {
        if STEPS.fetch_add(1, Ordering::Relaxed) + 1 == LAST.load(Ordering::Relaxed) {
            if let Some(last_words) = LAST_WORDS.get() {
                last_words();
            }
            die();
        }
        let one_in = one_in().load(Ordering::Relaxed);
        if one_in == 0 {
            return;
        }
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ state >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let random = mixed ^ mixed >> 29;
        if random.is_multiple_of(one_in) {
            die();
        }
        if random % 8 == 1 {
            std::thread::yield_now();
        }
    }

    fn die() {
        // SAFETY: raise takes an integer.
        #[cfg(unix)]
        let _ = unsafe { libc::raise(libc::SIGKILL) };
        #[cfg(windows)]
        std::process::abort();
    }

    /// Whether this build leaves the check out.
    pub fn skips(check: Check) -> bool {
        static SKIPPED: OnceLock<Option<Check>> = OnceLock::new();
        *SKIPPED.get_or_init(|| match std::env::var("SHM_STORM_SKIP").ok()?.as_str() {
            "lock" => Some(Check::Lock),
            "holders" => Some(Check::Holders),
            "mode-guard" => Some(Check::ModeGuard),
            "marks" => Some(Check::Marks),
            "entry-first" => Some(Check::EntryFirst),
            "entry-stays" => Some(Check::EntryStays),
            other => panic!("no check is called {other}"),
        }) == Some(check)
    }

    /// Whether POSIX objects are to be made as on a system that has none without a name.
    pub fn lacks_unnamed_objects() -> bool {
        is_named("1")
    }

    /// Whether they are to be made as on one that cannot give them a name.
    pub fn cannot_name_objects() -> bool {
        is_named("late")
    }

    fn is_named(how: &str) -> bool {
        static HOW: OnceLock<String> = OnceLock::new();
        HOW.get_or_init(|| std::env::var("SHM_STORM_NAMED").unwrap_or_default()) == how
    }
}

#[cfg(shm_storm)]
pub use imp::{arm, arm_at, steps};
pub use imp::{cannot_name_objects, lacks_unnamed_objects, skips, step};
