//! Whether what is done in an attachment reaches others.

use crate::{
    attachments::{self, Number},
    failure::Failure,
    shrinks,
};
use shm_lifetime::shrink;
use std::sync::atomic::Ordering::Relaxed;

/// Fails where an attachment was cut off: what was done there reaches nobody.
#[inline]
pub(crate) fn check_sound(number: Number) -> Result<(), Failure> {
    if shrink::shrinks().load(Relaxed) == 0 {
        return Ok(());
    }
    attachments::with_segment(number, shrinks::check_sound).unwrap_or(Ok(()))
}
