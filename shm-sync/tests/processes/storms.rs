//! Sudden death at every step of the algorithms themselves:
//! `RUSTFLAGS="--cfg shm_storm" cargo test -p shm-sync --test processes`

use crate::{broadcasts, channels};
use shm_sync::Producers;

#[test]
fn producers_that_die_at_any_step_lose_nothing_that_they_committed() {
    for producers in [Producers::One, Producers::Many] {
        channels::kill_producers(producers, "storm send for ever", 150);
    }
}

#[test]
fn consumers_that_die_at_any_step_lose_nothing() {
    channels::kill_consumers("storm receive for ever", 60);
}

#[test]
fn broadcasters_that_die_at_any_step_leave_nothing_torn() {
    broadcasts::kill_producers("storm produce for ever", 60);
}

#[test]
fn lock_holders_that_die_at_any_step_hold_nobody_up() {
    crate::mutexes::kill_counters("storm count", 60);
}

#[test]
fn nobody_gets_in_beside_a_holder_who_dies_at_any_step() {
    crate::liveness::storm("storm befall", 150);
}

#[test]
fn readers_and_writers_that_die_at_any_step_hold_nobody_up() {
    crate::holders::kill_at_random("storm read and write for ever", 3, 100);
}

#[test]
fn parties_that_die_at_any_step_hold_nobody_up() {
    crate::holders::kill_at_random("storm meet for ever", 3, 60);
}

#[test]
fn those_who_wait_in_turn_and_die_at_any_step_hold_nobody_up() {
    crate::holders::kill_at_random("storm take turns for ever", 3, 60);
}

#[test]
fn what_is_done_once_is_done_though_processes_die_at_it() {
    let mut died = 0;
    while died < 10 {
        died += crate::holders::kill_at_it("storm do each once");
    }
}

#[test]
fn permit_holders_that_die_at_any_step_hold_nobody_up() {
    crate::holders::kill_at_random("storm take permits for ever", 4, 100);
}
