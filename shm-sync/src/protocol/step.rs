//! Operations that may have to wait, cut into steps, so that a thread can sleep between them and an event
//! loop can do something else.

use crate::SyncError;
use crate::protocol::{cell::AtomicU32, futex};
use std::time::{Duration, Instant};

/// The longest sleep before a waiter asks whether the one it waits for is still alive.
pub const PATIENCE: Duration = Duration::from_millis(10);

/// What a step came to.
#[derive(Debug)]
pub enum Step<'a, T> {
    /// Done.
    Ready(T),
    /// Wait as it says, however the wait ends, and take the next step.
    Wait(Pause<'a>),
}

impl<'a, T> Step<'a, T> {
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Step<'a, U> {
        match self {
            Self::Ready(value) => Step::Ready(f(value)),
            Self::Wait(pause) => Step::Wait(pause),
        }
    }
}

/// A wait between two steps: sleep on `cell` while it holds `expected`, for at most [`PATIENCE`].
#[derive(Clone, Copy, Debug)]
pub struct Pause<'a> {
    /// The word to sleep on.
    pub cell: &'a AtomicU32,
    /// The value with which sleeping makes sense.
    pub expected: u32,
}

/// Tells when it is time to ask for the living.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// Whether this has been going on for [`PATIENCE`], or for as long again since the last time.
    pub(crate) fn is_over(&mut self) -> bool {
        if cfg!(loom) {
            return false;
        }
        let now = Instant::now();
        match self.0 {
            Some(since) if now.duration_since(since) < PATIENCE => false,
            Some(_) => {
                self.0 = Some(now);
                true
            }
            None => {
                self.0 = Some(now);
                false
            }
        }
    }

    pub(crate) fn restart(&mut self) {
        self.0 = None;
    }
}

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Never,
    At(Instant),
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).map_or(Self::Never, Self::At)
    }

    #[cfg(not(loom))]
    pub(crate) const fn is_never(self) -> bool {
        matches!(self, Self::Never)
    }

    /// How long to sleep, at most `most`; `None` when time is up.
    fn clip(self, most: Duration) -> Option<Duration> {
        match self {
            Self::Never => Some(most),
            Self::At(then) => {
                let left = then.saturating_duration_since(Instant::now());
                (!left.is_zero()).then_some(left.min(most))
            }
        }
    }
}

/// Takes steps until one is ready; `None` when time is up.
pub(crate) fn drive<'a, T>(
    deadline: Deadline,
    mut step: impl FnMut() -> Result<Step<'a, T>, SyncError>,
) -> Result<Option<T>, SyncError> {
    loop {
        match step()? {
            Step::Ready(value) => return Ok(Some(value)),
            Step::Wait(Pause { cell, expected }) => match deadline.clip(PATIENCE) {
                Some(time) => futex::wait(cell, expected, Some(time))?,
                None => return Ok(None),
            },
        };
    }
}
