//! For tests: the process can die at every step. Compiled only with `--cfg shm_storm`.

use super::{
    call::{Call, Entry, functions},
    table::Table,
};
use crate::failure::Failure;
use shm_lifetime::fault;
use std::ffi::CStr;

pub(super) const FUNCTIONS: &[(&CStr, Entry)] = functions! {
    c"armAt": arm_at,
    c"mayDie": may_die,
    c"steps": steps,
};

/// `armAt(step)`: from now on steps are counted, and the process dies at that step. It says so on standard output.
fn arm_at(_: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    fault::arm_at(call.number(0) as u64, || {
        // SAFETY: bytes of ours. Whether they arrive is what the test finds out.
        unsafe { libc::write(1, c"killed".as_ptr().cast(), 6) };
    });
    Ok(())
}

/// `mayDie()`: a step in JavaScript.
fn may_die(_: &mut Table, _: &Call<0>) -> Result<(), Failure> {
    fault::step();
    Ok(())
}

/// `steps()`: how many steps have been counted.
fn steps(_: &mut Table, _: &Call<0>) -> Result<f64, Failure> {
    Ok(fault::steps() as f64)
}
