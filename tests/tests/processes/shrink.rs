//! A peer that makes an object smaller, and what else is SIGBUS.

use crate::cast::SURVIVOR;
use nix::sys::signal::Signal;
use shm_tests::{Puppet, World, fresh_name, skip};
use std::{fs, os::unix::process::ExitStatusExt, process::ExitStatus};

fn survivor() -> Puppet {
    Puppet::start(SURVIVOR)
}

/// How it ends, told something that it does not survive, with a core if the system makes one.
fn end_of(mut survivor: Puppet, command: &str) -> ExitStatus {
    let folder = std::env::temp_dir().join(&fresh_name()[1..]);
    fs::create_dir(&folder).unwrap();
    survivor.ok(&format!("core {}", folder.display()));
    survivor.tell(command);
    let status = survivor.ended();
    fs::remove_dir_all(folder).unwrap();
    status
}

#[test]
fn the_missing_part_reads_as_zeros_and_the_rest_stays() {
    for how in ["attach", "attach-read-only"] {
        let (mut owner, mut other) = (survivor(), survivor());
        let name = fresh_name();
        owner.ok(&format!("create {name} 20000"));
        other.ok("survive");
        other.ok(&format!("{how} {name}"));
        for offset in [0, 8191, 8192, 19_999] {
            owner.ok(&format!("write {offset} 7"));
        }
        owner.ok(&format!("size {name} 8192"));
        assert_eq!(other.ok("read 8191"), "7");
        assert_eq!(other.ok("shrunk"), "false", "nobody has touched what is gone");
        assert_eq!(other.ok("read 8192"), "0");
        assert_eq!(other.ok("shrunk"), "true");
        other.ok("write 19999 5");
        assert_eq!((other.ok("read 19999"), other.ok("read 8191")), ("5".into(), "7".into()));
        owner.ok(&format!("size {name} 0"));
        assert_eq!((other.ok("read 0"), other.ok("read 19999")), ("0".into(), "5".into()));
        other.ok("detach");
        other.ok(&format!("create {name}-2 100"));
        assert_eq!(other.ok("shrunk"), "false", "that is another one");
        other.end();
        owner.end();
    }
}

#[test]
fn without_survive_shrinking_the_process_ends_as_before() {
    let mut owner = survivor();
    let name = fresh_name();
    owner.ok(&format!("create {name} 8192"));
    owner.ok(&format!("size {name} 0"));
    owner.tell("read 4096");
    assert_eq!(owner.died(), Signal::SIGBUS);
    survivor().no(&format!("attach {name}"), "AttachError");
}

#[test]
fn a_page_for_which_there_is_no_room_is_survived_too() {
    let Some(mut world) = World::new(SURVIVOR, "4m") else { return };
    let mut survivor = world.start(SURVIVOR);
    survivor.ok("survive");
    survivor.ok(&format!("create /large {} unreserved", 8 << 20));
    for page in 0..2048 {
        survivor.ok(&format!("write {} 7", page * 4096));
    }
    assert_eq!((survivor.ok("shrunk"), survivor.ok("read 0")), ("true".into(), "7".into()));
    survivor.end();
    assert_eq!(world.left().0, Vec::<String>::new());
}

#[test]
fn every_structure_reports_the_shrink_and_excludes_nobody_any_more() {
    let mut survivor = survivor();
    survivor.ok("survive");
    assert_eq!(survivor.ok("structures"), "none of 17");
    survivor.end();
}

#[test]
fn every_other_cause_ends_the_process_as_before_with_its_core() {
    for command in ["foreign", "send"] {
        let plain = || {
            let mut plain = survivor();
            plain.ok("previous default"); // Rust has a handler of its own for its main thread's stack
            plain
        };
        let before = end_of(plain(), command);
        let mut armed = plain();
        armed.ok("survive");
        armed.ok(&format!("create {} 4096", fresh_name()));
        let after = end_of(armed, command);
        assert_eq!(before.signal(), Some(libc::SIGBUS));
        assert_eq!(
            (after.signal(), after.core_dumped()),
            (before.signal(), before.core_dumped()),
            "{command}"
        );
    }
}

#[test]
fn a_signal_that_is_not_ours_goes_to_the_handler_that_was_there_before() {
    for (kind, command, code) in [("exit", "foreign", 41), ("plain", "foreign", 42), ("plain", "send", 42)] {
        let mut armed = survivor();
        armed.ok(&format!("previous {kind}"));
        armed.ok("survive");
        armed.ok("survive");
        let name = fresh_name();
        armed.ok(&format!("create {name} 4096"));
        armed.ok(&format!("size {name} 0"));
        assert_eq!(armed.ok("read 0"), "0", "what is ours is survived all the same");
        assert_eq!(end_of(armed, command).code(), Some(code), "{kind} {command}");
    }
}

#[test]
fn a_signal_with_another_code_is_passed_on_even_if_it_names_an_address_of_ours() {
    for code in [libc::BUS_ADRALN, libc::BUS_OBJERR, libc::BUS_MCEERR_AR, libc::BUS_MCEERR_AO, -1] {
        let mut armed = survivor();
        armed.ok("previous exit");
        armed.ok("survive");
        armed.ok(&format!("create {} 4096", fresh_name()));
        assert_eq!(end_of(armed, &format!("forged {code}")).code(), Some(41), "{code}");
    }
}

#[test]
fn if_no_more_mappings_can_be_made_the_whole_mapping_is_replaced() {
    let limit: u32 = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if limit > 200_000 {
        return skip("vm.max_map_count is too large to be reached");
    }
    let mut survivor = survivor();
    survivor.ok("survive");
    let name = fresh_name();
    survivor.ok(&format!("create {name} 40960"));
    survivor.ok("write 0 7");
    survivor.ok(&format!("size {name} 4096"));
    let count: usize = survivor.ok("use-up-mappings").parse().unwrap();
    assert!(count > 100);
    assert_eq!(survivor.ok("read 12288"), "0");
    assert_eq!((survivor.ok("read 0"), survivor.ok("shrunk")), ("0".into(), "true".into()));
}

#[test]
fn an_ignored_signal_is_still_ignored_and_a_touch_of_other_memory_ends_the_process() {
    let mut armed = survivor();
    armed.ok("previous ignore");
    armed.ok("survive");
    assert_eq!(armed.ok("send"), "lived");
    assert_eq!(end_of(armed, "foreign").signal(), Some(libc::SIGBUS));
}

#[test]
fn a_handler_that_is_to_run_once_runs_once() {
    let mut armed = survivor();
    armed.ok("previous once");
    armed.ok("survive");
    assert_eq!(armed.ok("send"), "lived");
    assert_eq!(end_of(armed, "send").signal(), Some(libc::SIGBUS));
}

#[test]
fn a_later_handler_that_chains_calls_ours() {
    let mut armed = survivor();
    armed.ok("previous plain");
    armed.ok("survive");
    assert_eq!(armed.ok("later"), "0");
    armed.ok("survive"); // not in front of it again: they would call each other for ever
    let name = fresh_name();
    armed.ok(&format!("create {name} 4096"));
    armed.ok(&format!("size {name} 0"));
    assert_eq!(armed.ok("read 0"), "0");
    assert_eq!(armed.ok("shrunk"), "true");
    assert_eq!(end_of(armed, "foreign").code(), Some(42));
}

#[test]
fn if_the_default_action_was_restored_the_handler_is_installed_again() {
    let mut armed = survivor();
    armed.ok("survive");
    armed.ok("previous default");
    armed.ok("survive");
    let name = fresh_name();
    armed.ok(&format!("create {name} 4096"));
    armed.ok(&format!("size {name} 0"));
    assert_eq!(armed.ok("read 0"), "0");
    armed.end();
}

#[test]
fn attaches_and_detaches_during_shrinks_end_no_process() {
    let count = std::env::var("SHM_SHRINKS").unwrap_or_else(|_| "1000".into());
    let mut survivor = survivor();
    survivor.ok("survive");
    let found = survivor.ok(&format!("storm {count}"));
    assert!(!found.starts_with("0 "), "{found}");
    survivor.end();
}
