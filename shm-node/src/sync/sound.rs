//! Whether writes to an attachment reach other processes.

use crate::{
    attachments::{self, Number},
    failure::Failure,
    shrinks,
};
use shm_lifetime::shrink;
use std::sync::atomic::Ordering::Relaxed;

/// Fails if a part of an attachment was cut off, because then writes may reach nobody.
#[inline]
pub(crate) fn check_sound(number: Number) -> Result<(), Failure> {
    if shrink::shrinks().load(Relaxed) == 0 {
        return Ok(());
    }
    attachments::with_segment(number, shrinks::check_sound).unwrap_or(Ok(()))
}
