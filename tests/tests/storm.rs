//! The storm, and its mutants, in their short form. The long one, which says how it went:
//!
//! `cargo test --package shm-tests --test storm -- --ignored --nocapture`
#![cfg(target_os = "linux")]

use shm_tests::{is_root, skip};
use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

/// The program with the faults compiled in, in a target folder of its own.
fn storm() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("storm");
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--offline",
                "--quiet",
                "--package",
                "shm-tests",
                "--bin",
                "storm",
                "--target-dir",
            ])
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", "--cfg=shm_storm")
            .status();
        assert!(status.expect("cargo runs").success());
        target.join("debug/storm")
    })
}

fn run(arguments: &[&str]) -> Output {
    Command::new(storm()).args(arguments).output().expect("it was built")
}

#[track_caller]
fn assert_calm(arguments: &[&str]) {
    assert_calm_run(&run(arguments));
}

#[track_caller]
fn assert_calm_run(ran: &Output) {
    let said = String::from_utf8_lossy(&ran.stdout);
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}\n{said}\n{complained}", ran.status);
    println!("{said}");
}

#[test]
fn kills_from_outside_take_nothing_and_leave_nothing() {
    assert_calm(&["--kills", "2000"]);
}

#[test]
#[ignore = "takes a minute: the long form"]
fn ten_thousand_kills_take_nothing_and_leave_nothing() {
    assert_calm(&["--kills", "10000"]);
}

#[test]
fn kills_at_every_step_take_nothing_and_leave_nothing() {
    assert_calm(&["--kills", "500", "--kill-at", "50"]);
}

#[test]
fn without_unnamed_objects_kills_at_every_step_take_nothing_and_leave_nothing() {
    let mut storm = Command::new(storm());
    storm.args(["--kills", "300", "--kill-at", "20"]).env("SHM_STORM_NAMED", "1");
    assert_calm_run(&storm.output().expect("it was built"));
}

/// It makes them without a name, and cannot give them one.
#[test]
fn without_proc_kills_at_every_step_take_nothing_and_leave_nothing() {
    let mut storm = Command::new(storm());
    storm.args(["--kills", "300", "--kill-at", "20"]).env("SHM_STORM_NAMED", "late");
    assert_calm_run(&storm.output().expect("it was built"));
}

#[test]
fn on_overlayfs_kills_at_every_step_take_nothing_from_holders_and_strangers_keep_their_memory() {
    for ground in ["overlayfs", "overlayfs-of-two"] {
        assert_calm_on(ground, "300");
    }
}

#[test]
fn on_ext4_kills_at_every_step_take_nothing_and_leave_nothing() {
    assert_calm_on("ext4", "300");
}

#[test]
#[ignore = "takes minutes: the long form"]
fn on_other_file_systems_ten_thousand_kills_take_nothing_and_leave_nothing() {
    for ground in ["overlayfs", "overlayfs-of-two", "ext4"] {
        println!("{ground}:");
        assert_calm_on(ground, "10000");
    }
}

#[track_caller]
fn assert_calm_on(ground: &str, kills: &str) {
    if is_root() {
        assert_calm(&["--kills", kills, "--kill-at", "200", "--ground", ground]);
    } else {
        skip("it needs namespaces of its own, and so root");
    }
}

#[test]
fn beside_many_entries_kills_at_every_step_take_nothing_and_leave_nothing() {
    if !is_root() {
        return skip("it fills the ledger of a user, and so needs root for namespaces of its own");
    }
    assert_calm(&["--crowded", "--kills", "500", "--kill-at", "20"]);
}

#[test]
fn kills_of_root_take_nothing_and_leave_nothing() {
    if !is_root() {
        return skip("it is of root");
    }
    assert_calm(&["--kills", "500", "--user", "0"]);
}

#[test]
fn without_any_one_check_the_storm_sees_it() {
    if !is_root() {
        return skip("a mutant needs namespaces of its own, and so root");
    }
    let ran = run(&["--mutants"]);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}\n{said}", ran.status);
    assert!(said.contains("6 of 6 mutants seen"), "{said}");
    println!("{said}");
}

#[test]
fn a_wrong_option_is_an_error() {
    assert_eq!(run(&["--kills"]).status.code(), Some(2));
    assert_eq!(run(&["--thunder", "1"]).status.code(), Some(2));
    assert_eq!(run(&["--ground", "sand"]).status.code(), Some(2));
}
