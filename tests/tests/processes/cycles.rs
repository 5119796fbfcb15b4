//! Nothing grows with the number of segments ever made.

use std::process::Command;

#[track_caller]
fn assert_flat(backend: &str, count: &str) {
    let ran =
        Command::new(env!("CARGO_BIN_EXE_cycles")).args([backend, count]).output().expect("it is built");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}\n{said}\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    println!("{said}");
}

#[test]
fn twenty_thousand_cycles_on_system_v_leave_nothing_behind() {
    assert_flat("sysv", "20000");
}

#[test]
fn twenty_thousand_cycles_on_posix_leave_nothing_behind() {
    assert_flat("posix", "20000");
}

#[test]
#[ignore = "takes a minute: cargo test -p shm-tests -- --ignored million"]
fn a_million_cycles_on_system_v_use_nothing_up() {
    assert_flat("sysv", "1000000");
}

#[test]
#[ignore = "takes a minute: cargo test -p shm-tests -- --ignored million"]
fn a_million_cycles_on_posix_use_nothing_up() {
    assert_flat("posix", "1000000");
}
