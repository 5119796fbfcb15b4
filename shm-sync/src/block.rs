//! Blocking a thread between the steps of an operation.

use crate::protocol::step::{PATIENCE, Pause, Step};
use crate::{SyncError, futex};
use std::time::{Duration, Instant};

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// A time that is too long for the clock is no limit.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// How long to sleep, at most `most`; `None` when time is up.
    pub(crate) fn clip(self, most: Duration) -> Option<Duration> {
        let Some(then) = self.0 else { return Some(most) };
        let left = then.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left.min(most))
    }
}

/// Takes steps until one is ready.
pub(crate) fn block<'a, T>(mut step: impl FnMut() -> Result<Step<'a, T>, SyncError>) -> Result<T, SyncError> {
    let mut sleeper = Sleeper::default();
    loop {
        match step()? {
            Step::Ready(value) => return Ok(value),
            Step::Wait(pause) => sleeper.sleep(pause, PATIENCE)?,
        }
    }
}

/// The same, but returns `None` if time is up.
pub(crate) fn block_until<'a, T>(
    deadline: Deadline,
    mut step: impl FnMut() -> Result<Step<'a, T>, SyncError>,
) -> Result<Option<T>, SyncError> {
    let mut sleeper = Sleeper::default();
    loop {
        match step()? {
            Step::Ready(value) => return Ok(Some(value)),
            Step::Wait(pause) => match deadline.clip(PATIENCE) {
                Some(time) => sleeper.sleep(pause, time)?,
                None => return Ok(None),
            },
        }
    }
}

/// A thread that sleeps between steps.
#[derive(Default)]
struct Sleeper {
    /// The system refused the last time.
    refused: bool,
}

impl Sleeper {
    /// If the word was cut off after the step, the system refuses (EFAULT). The next step notices that, and returns the
    /// error. If it does not, the refusal itself is the error.
    fn sleep(&mut self, Pause { cell, expected }: Pause<'_>, time: Duration) -> Result<(), SyncError> {
        let slept = futex::wait(cell, expected, Some(time));
        if self.refused {
            slept.map(drop)?;
            self.refused = false;
        } else {
            self.refused = slept.is_err();
        }
        Ok(())
    }
}

/// Takes steps, and blocks this thread between them, until one is ready; returns `None` if `timeout` is over. Without
/// `timeout` there is no time limit.
///
/// It may be called again with the same steps. (A program that has other work too can call it for a tenth of a second
/// at a time.)
///
/// # Errors
///
/// Those of the step, and an error if the system refuses.
pub fn block_on<'a, T>(
    timeout: Option<Duration>,
    step: impl FnMut() -> Result<Step<'a, T>, SyncError>,
) -> Result<Option<T>, SyncError> {
    block_until(timeout.map_or(Deadline(None), Deadline::after), step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Mutex,
        testing::{Memory, live},
    };

    #[cfg(target_os = "linux")]
    #[test]
    fn a_word_that_vanishes_before_the_wait_begins_is_left_to_the_next_step() {
        let file = crate::testing::memfd(4096);
        let mapping = memmap2::MmapRaw::map_raw(&file).unwrap();
        // SAFETY: a word at the start of a mapping that outlives it; nothing but the kernel looks at it.
        let cell = unsafe { &*mapping.as_mut_ptr().cast() };
        nix::unistd::ftruncate(&file, 0).unwrap();
        let wait = || Ok(Step::<'_, ()>::Wait(Pause { cell, expected: 0 }));
        let mut steps = 0;
        let found = block(|| {
            steps += 1;
            if steps == 1 { wait() } else { Err(SyncError::Shrunk) }
        });
        assert_eq!((found, steps), (Err(SyncError::Shrunk), 2));
        let refused = block(wait).unwrap_err();
        assert_eq!(
            refused.errno(),
            Some(libc::EFAULT),
            "a step that finds nothing out does not go on for ever"
        );
    }

    #[test]
    fn any_steps_can_block() {
        let memory = Memory::new(64);
        let mutex = Mutex::open(memory.region(), 0, live()).unwrap();
        let guard = mutex.lock().unwrap();
        let mut locking = mutex.locking(live().new_owner().unwrap());
        let slice = Some(Duration::from_millis(1));
        assert!(block_on(slice, || locking.step()).unwrap().is_none());
        drop(guard);
        assert!(block_on(slice, || locking.step()).unwrap().is_some(), "the same steps go on");
    }
}
