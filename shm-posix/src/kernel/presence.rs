//! Marks of our own.
//!
//! Each attachment leaves a [`Presence`], and an object goes with the last of them. What the kernel still does: it
//! takes the marks of those who die. A program that knows nothing of this library leaves no mark, and an earlier
//! version of it neither, so they do not keep an object's name; its memory they keep.

use shm_lifetime::Presence;
use std::{thread, time::Duration};

/// Waits until a mark is the only one of its segment, or `others_leave` says that there is nothing to wait for.
pub(super) fn wait_for_others(mark: &Presence, others_leave: &dyn Fn() -> bool) {
    while mark.has_company() && others_leave() {
        thread::sleep(Duration::from_micros(200));
    }
}
