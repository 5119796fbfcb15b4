//! Marks of our own.
//!
//! Each attachment has a [`Presence`], and an object goes with the last of them. The kernel removes the marks of
//! processes that die. Programs that do not use this library leave no marks, and neither do earlier versions of it. So
//! they do not keep the name of an object, but they keep its memory.

use shm_lifetime::Presence;
use std::{thread, time::Duration};

/// Waits until a mark is the only one of its segment, or until `others_leave` returns false.
pub(super) fn wait_for_others(mark: &Presence, others_leave: &dyn Fn() -> bool) {
    while mark.has_company() && others_leave() {
        thread::sleep(Duration::from_micros(200));
    }
}
