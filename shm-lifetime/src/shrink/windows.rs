//! No process can make a section smaller, so nothing is ever cut off.

use super::Mark;
use std::ptr::NonNull;

impl Mark {
    /// One that is never set.
    pub fn of(_address: NonNull<u8>) -> &'static Self {
        static NO_MARK: Mark = Mark::new();
        &NO_MARK
    }
}
