//! Operations that may have to wait, cut into steps, so that a thread can sleep between them and an event
//! loop can do something else.

use super::{memory::AtomicU32, owner::Owner};
use std::time::{Duration, Instant};

/// The longest sleep before a waiter checks whether the owner that it waits for still lives.
pub const PATIENCE: Duration = Duration::from_millis(10);

/// The result of a step.
#[derive(Debug)]
pub enum Step<'a, T> {
    /// Done.
    Ready(T),
    /// Wait as the pause says. However the wait ends, take the next step.
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

/// The other owners, as a waiter sees them.
pub(crate) trait Peers: Copy {
    /// Whether an owner may still be alive; true if that cannot be found out.
    fn is_alive(self, owner: Owner) -> bool;

    /// Whether a wait has lasted for so long that it is time to ask who lives.
    fn is_over(self, patience: &mut Patience) -> bool;
}

/// When a waiter last checked which owners live.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// Whether this has been going on for [`PATIENCE`], or for as long again since the last time.
    pub(crate) fn is_over_at(&mut self, now: Instant) -> bool {
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
