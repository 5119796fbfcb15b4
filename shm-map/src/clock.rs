//! The time of the system.

use crate::protocol::Clock;
use std::time::{Duration, SystemTime};

/// Milliseconds since 1970, as `Date.now()` has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_millis().try_into().unwrap_or(u64::MAX)
    }
}

/// The time of the system, minus a duration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Earlier(pub(crate) Duration);

impl Clock for Earlier {
    fn now(self) -> u64 {
        SystemClock.now().saturating_sub(self.0.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

/// When an entry expires that is valid for `ttl` from now on. Never, if the time is too large for a number.
pub(crate) fn expiry(ttl: Option<Duration>, clock: impl Clock) -> Option<u64> {
    let ttl = u64::try_from(ttl?.as_nanos().div_ceil(1_000_000)).ok()?;
    clock.now().checked_add(ttl).filter(|expires| *expires < u64::MAX)
}
