//! Sudden death at every step of the algorithms themselves:
//! `RUSTFLAGS="--cfg shm_storm" cargo test -p shm-sync --test processes`

use crate::{broadcasts, channels};
use shm_sync::Producers;

#[test]
fn producers_that_die_at_any_step_lose_no_committed_message() {
    for producers in [Producers::One, Producers::Many] {
        channels::kill_producers(producers, "storm send for ever", 150);
    }
}

#[test]
fn consumers_that_die_at_any_step_lose_no_message() {
    channels::kill_consumers("storm receive for ever", 60);
}

#[test]
fn broadcasters_that_die_at_any_step_leave_whole_messages() {
    broadcasts::kill_producers("storm produce for ever", 60);
}

#[test]
fn lock_holders_that_die_at_any_step_block_nobody() {
    crate::mutexes::kill_counters("storm count", 60);
}

#[test]
fn nobody_gets_the_lock_beside_a_holder_that_dies_at_any_step() {
    crate::liveness::storm("storm befall", 150);
}

#[test]
fn readers_and_writers_that_die_at_any_step_block_nobody() {
    crate::holders::kill_at_random("storm read and write for ever", 3, 100);
}

#[test]
fn parties_that_die_at_any_step_block_nobody() {
    crate::holders::kill_at_random("storm meet for ever", 3, 60);
}

#[test]
fn processes_that_wait_in_turn_and_die_at_any_step_block_nobody() {
    crate::holders::kill_at_random("storm take turns for ever", 3, 60);
}

#[test]
fn work_of_a_once_is_done_even_if_processes_die_during_it() {
    let mut died = 0;
    while died < 10 {
        died += crate::holders::kill_at_it("storm do each once");
    }
}

#[test]
fn permit_holders_that_die_at_any_step_block_nobody() {
    crate::holders::kill_at_random("storm take permits for ever", 4, 100);
}
