//! Waiting in slices. Between them, the thread checks whether the wait was cancelled.

use super::{Ended, Way};
use crate::{
    PATIENCE,
    futex::{self, Outcome},
};
use shm_api::OsError;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

/// Sleeps on the word for 10 ms at a time.
#[derive(Debug)]
pub struct Sliced;

impl Way for Sliced {
    const NAME: &'static str = "a thread for each wait, in slices";

    fn check() -> Result<(), OsError> {
        futex::check()
    }

    fn wait(cell: &AtomicU32, expected: u32, deadline: Option<Instant>, cancelled: &AtomicU32) -> Ended {
        let mut first = true;
        loop {
            if cancelled.load(Ordering::Acquire) != 0 {
                return Ended::Cancelled;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice = left.map_or(PATIENCE, |left| left.min(PATIENCE));
            match futex::wait(cell, expected, Some(slice)) {
                Ok(Some(Outcome::Woken)) => return Ended::Woken,
                // The cell was changed, and its notification may have come, between two slices.
                Ok(Some(Outcome::NotEqual)) if first => return Ended::NotEqual,
                Ok(Some(Outcome::NotEqual)) => return Ended::Woken,
                Ok(Some(Outcome::TimedOut)) if left.is_some_and(|left| left <= slice) => {
                    return Ended::TimedOut;
                }
                Ok(Some(Outcome::TimedOut) | None) => first = false,
                Err(error) => return Ended::Failed(error),
            }
        }
    }

    fn cancel(cancelled: &AtomicU32) {
        cancelled.store(1, Ordering::Release);
    }
}
