//! Real processes, some of them killed. A test starts its own executable again; see [`child`].
#![cfg(any(target_os = "linux", windows))]

mod broadcasts;
mod channels;
#[cfg(target_os = "linux")]
mod forbidden;
#[cfg(target_os = "linux")]
mod forks;
mod holders;
#[cfg(target_os = "linux")]
mod liveness;
mod mutexes;
mod shared;
#[cfg(all(shm_storm, target_os = "linux"))]
mod storms;
mod waits;

#[test]
#[ignore = "this is what the other tests start as a child"]
fn child() {
    let Some((role, argument)) = shared::role() else { return };
    let shared = shared::Shared::of_parent();
    let role = role.as_str();
    #[cfg(shm_storm)]
    let role = role.strip_prefix("storm ").inspect(|_| shared::arm()).unwrap_or(role);
    match role {
        "notify" => waits::notify(&shared),
        "wait" => waits::wait(&shared),
        "answer" => waits::answer(&shared),
        "hold" => mutexes::hold(&shared),
        "count" => mutexes::count(&shared, argument),
        "send" => channels::send(&shared, argument),
        "send for ever" => channels::send_for_ever(&shared, argument),
        "reserve and stop" => channels::reserve_and_stop(&shared),
        "receive for ever" => channels::receive_for_ever(&shared),
        "peek and stop" => channels::peek_and_stop(&shared),
        "read and stay" => holders::read_and_stay(&shared),
        "write and stay" => holders::write_and_stay(&shared),
        "hold a permit" => holders::hold_a_permit(&shared),
        "join and stay" => holders::join_and_stay(&shared),
        "begin and stay" => holders::begin_and_stay(&shared),
        "wait for condition" => holders::wait_for_condition(&shared),
        "read and write for ever" => holders::read_and_write_for_ever(&shared, argument),
        "meet for ever" => holders::meet_for_ever(&shared),
        "take turns for ever" => holders::take_turns_for_ever(&shared, argument),
        "do each once" => holders::do_each_once(&shared),
        "take permits for ever" => holders::take_permits_for_ever(&shared),
        "produce for ever" => broadcasts::produce_for_ever(&shared),
        "read for ever" => broadcasts::read_for_ever(&shared, argument),
        #[cfg(target_os = "linux")]
        role => play_on_linux(role, &shared, argument),
        #[cfg(windows)]
        role => panic!("no role {role}"),
    }
}

#[cfg(target_os = "linux")]
fn play_on_linux(role: &str, shared: &shared::Shared, argument: u64) {
    match role {
        "fork while holding" => forks::fork_while_holding(shared),
        "fork with messages" => forks::fork_with_messages(shared),
        "fork while waiting" => forks::fork_while_waiting(shared),
        "fork while a future waits" => forks::fork_while_a_future_waits(shared),
        "leave a child behind" => forks::leave_a_child_behind(shared),
        "fork with a full table" => liveness::fork_with_a_full_table(shared),
        "close all and stay" => liveness::close_all_and_stay(shared),
        "close all and try" => liveness::close_all_and_try(shared),
        "close all and use" => liveness::close_all_and_use(shared),
        "go on in a chroot" => liveness::go_on_in_a_chroot(shared),
        "hold in segment" => liveness::hold_in_segment(shared, argument),
        "try in segment" => liveness::try_in_segment(shared, argument),
        "try in memory" => liveness::try_in_memory(shared),
        "befall" => liveness::befall(shared, argument),
        "wait without" => forbidden::wait_without(shared, argument),
        role => panic!("no role {role}"),
    }
}
