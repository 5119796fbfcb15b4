//! Windows ends a process without a signal (`TerminateProcess`, `ExitProcess`), and its kernel frees all that the
//! process held: no handler has anything to do.

pub(crate) const fn arm() {}

pub(crate) const fn arm_again() {}

pub(crate) const fn prepare(_runtime: &str) {}
