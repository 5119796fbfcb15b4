//! Sudden death at every step, for tests: compiled with `--cfg shm_storm` only.

/// A step after which a process may die.
macro_rules! may_die_here {
    () => {
        #[cfg(shm_storm)]
        $crate::storm::may_die();
    };
}
pub(crate) use may_die_here;

#[cfg(shm_storm)]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    static ONE_IN: AtomicU64 = AtomicU64::new(0);
    static RANDOM: AtomicU64 = AtomicU64::new(0);

    /// From now on, one step of `one_in` ends this process with SIGKILL.
    pub fn arm(seed: u64, one_in: u64) {
        RANDOM.store(seed | 1, Ordering::Relaxed);
        ONE_IN.store(one_in, Ordering::Relaxed);
    }

    pub(crate) fn may_die() {
        let one_in = ONE_IN.load(Ordering::Relaxed);
        if one_in == 0 {
            return;
        }
        let mut random = RANDOM.load(Ordering::Relaxed);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        RANDOM.store(random, Ordering::Relaxed);
        if random.is_multiple_of(one_in) {
            let us = std::process::id().cast_signed();
            // SAFETY: ending this process is what the test asked for.
            unsafe { libc::kill(us, libc::SIGKILL) };
        }
    }
}
#[cfg(shm_storm)]
pub use armed::arm;
#[cfg(shm_storm)]
pub(crate) use armed::may_die;
