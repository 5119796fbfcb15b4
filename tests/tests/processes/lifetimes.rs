//! When a process dies, in any way, what it held is freed, and what others hold is not.

use crate::cast::{ACTOR, FOREIGN, actor, attach, foreign, key, make, on_both_backends, world};
use nix::sys::signal::Signal;
use shm_tests::Puppet;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
    thread,
    time::Duration,
};

on_both_backends! {
    a_segment_is_handed_from_process_to_process
    a_segment_goes_when_its_last_holder_is_killed
    the_first_call_of_the_next_process_frees_what_a_killed_one_held
    a_sweep_frees_what_killed_processes_held_and_counts_it
    a_key_of_a_killed_process_can_be_created_at_once
    a_process_that_ends_leaves_nothing
    destroy_leaves_another_process_its_memory
    a_segment_of_a_foreign_holder_is_never_removed
    a_foreign_segment_is_never_removed_by_a_detach_or_a_sweep
    a_segment_that_a_stranger_holds_is_not_destroyed_as_unheld
    a_name_that_another_program_removes_is_gone_without_an_error
    a_persistent_segment_survives_its_killed_creator
    a_stopped_lock_holder_makes_others_fail_and_not_hang
    a_child_of_a_fork_takes_nothing_from_its_parent
    a_child_of_a_fork_creates_for_itself
    a_child_of_a_process_whose_threads_are_in_calls_is_not_blocked
    after_a_detach_without_the_lock_the_last_holder_still_destroys
    when_the_librarys_files_are_removed_later_segments_are_tracked
    when_the_ledger_is_removed_later_segments_are_tracked
    a_process_killed_before_the_create_leaves_an_entry_that_is_swept
    a_strangers_segment_is_not_taken_for_that_of_a_process_killed_before_its_create
    a_process_killed_after_the_create_leaves_a_segment_that_is_swept
    processes_killed_at_any_moment_leave_nothing
    the_mode_is_exact_whatever_the_umask
    a_program_that_a_holder_starts_inherits_no_file
    a_first_use_under_umask_0777_locks_nobody_out
    a_child_of_a_fork_does_not_keep_its_killed_parents_lock
    a_program_that_closes_all_descriptors_goes_on
}

fn a_segment_is_handed_from_process_to_process(backend: &str) {
    let key = key(backend);
    let mut one = actor();
    assert_eq!(one.ok(&format!("{backend} create s {key} 5000")), "5000");
    one.ok(&format!("{backend} write s 4990 handed-on!"));
    for _ in 0..5 {
        let mut next = actor();
        assert_eq!(next.ok(&format!("{backend} attach s {key}")), "5000");
        assert_eq!(one.ok(&format!("{backend} detach s")), "outlives 1");
        assert_eq!(next.ok(&format!("{backend} read s 4990 100")), "handed-on!");
        one.end();
        one = next;
    }
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
    one.no(&format!("{backend} attach s {key}"), "NotFound");
}

fn a_segment_goes_when_its_last_holder_is_killed(backend: &str) {
    let key = key(backend);
    let (mut one, mut other) = (actor(), actor());
    one.ok(&format!("{backend} create s {key} 4096"));
    other.ok(&format!("{backend} attach s {key}"));
    one.kill();
    let mut third = actor();
    third.ok(&format!("{backend} attach s {key}"));
    third.kill();
    assert_eq!(other.ok(&format!("{backend} current s")), "true");
    other.kill();
    actor().no(&format!("{backend} attach s {key}"), "NotFound");
}

fn the_first_call_of_the_next_process_frees_what_a_killed_one_held(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut witness, other) = (world.start(ACTOR), key(backend));
    witness.no(&format!("{backend} attach s {other}"), "NotFound");
    for call in ["attach s", "create s"] {
        let key = key(backend);
        let mut one = world.start(ACTOR);
        one.ok(&format!("{backend} create s {key} 4096"));
        assert!(witness.ok(&format!("{backend} info {key}")).ends_with("Held"));
        one.kill();
        assert!(witness.ok(&format!("{backend} info {key}")).ends_with("Orphan"));
        let size = if call == "create s" { " 100" } else { "" };
        let mut next = world.start(ACTOR);
        next.ask(&format!("{backend} {call} {other}{size}"));
        witness.no(&format!("{backend} info {key}"), "NotFound");
        next.end();
        assert_eq!(world.left(), (vec![], 0));
        assert_eq!(witness.ok("entries"), "0");
    }
}

fn a_sweep_frees_what_killed_processes_held_and_counts_it(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let mut sweeper = world.start(ACTOR);
    assert_eq!(sweeper.ok(&format!("{backend} sweep")), "0");
    let (held, persistent) = (key(backend), key(backend));
    sweeper.ok(&format!("{backend} create held {held} 1"));
    let mut dead = world.start(ACTOR);
    for slot in 0..5 {
        dead.ok(&format!("{backend} create {slot} {} 100", key(backend)));
    }
    dead.ok(&format!("{backend} attach held {held}"));
    dead.ok(&format!("{backend} create kept {persistent} 100 persist"));
    assert_eq!(sweeper.ok(&format!("{backend} sweep")), "0");
    dead.kill();
    assert_eq!(sweeper.ok(&format!("{backend} list")).matches("Orphan").count(), 5);
    assert_eq!(sweeper.ok(&format!("{backend} sweep")), "5");
    assert_eq!(sweeper.ok(&format!("{backend} sweep")), "0");
    assert_eq!(sweeper.ok("entries"), "2");
    assert_eq!(sweeper.ok(&format!("{backend} detach held")), "destroyed");
    sweeper.ok(&format!("{backend} destroy {persistent}"));
    assert_eq!(sweeper.ok("entries"), "0");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_key_of_a_killed_process_can_be_created_at_once(backend: &str) {
    let Some(world) = world("16m") else { return };
    let key = key(backend);
    let mut next = world.start(ACTOR);
    next.ok(&format!("{backend} sweep"));
    next.no(&format!("{backend} attach s {key}"), "NotFound");
    let mut dead = world.start(ACTOR);
    dead.ok(&format!("{backend} create s {key} 4096"));
    dead.ok(&format!("{backend} write s 0 old"));
    next.no(&format!("{backend} create s {key} 100"), "Exists");
    dead.kill();
    next.ok(&format!("{backend} create s {key} 100 mode=666"));
    assert_eq!(next.ok(&format!("{backend} read s 0 3")), "\0\0\0");
    assert_eq!(next.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_process_that_ends_leaves_nothing(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut one, key) = (world.start(ACTOR), key(backend));
    one.ok(&format!("{backend} create s {key} 4096"));
    one.ok(&format!("{backend} attach t {key}"));
    one.end();
    assert_eq!(world.left(), (vec![], 0));
}

fn destroy_leaves_another_process_its_memory(backend: &str) {
    let key = key(backend);
    let (mut one, mut other) = (actor(), actor());
    one.ok(&format!("{backend} create s {key} 100"));
    one.ok(&format!("{backend} write s 0 old"));
    other.ok(&format!("{backend} destroy {key}"));
    other.no(&format!("{backend} destroy {key}"), "NotFound");
    other.ok(&format!("{backend} create s {key} 100"));
    assert_eq!(one.ok(&format!("{backend} read s 0 3")), "old");
    assert_eq!(one.ok(&format!("{backend} current s")), "false");
    assert_eq!(one.ok(&format!("{backend} detach s")), "gone");
    assert_eq!(other.ok(&format!("{backend} current s")), "true");
    assert_eq!(other.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_segment_of_a_foreign_holder_is_never_removed(backend: &str) {
    let key = key(backend);
    let (mut one, mut stranger) = (actor(), foreign());
    one.ok(&format!("{backend} create s {key} 5000"));
    one.ok(&format!("{backend} write s 0 kept"));
    assert_eq!(stranger.ok(&format!("{} {key}", attach(backend))), "5000");
    assert_eq!(one.ok(&format!("{backend} detach s")), "outlives 1");
    for _ in 0..3 {
        one.ok(&format!("{backend} sweep"));
    }
    assert!(one.ok(&format!("{backend} info {key}")).ends_with("Held"));
    one.end();
    assert_eq!(stranger.ok("read 0 4"), "kept");
    let mut next = actor();
    next.ok(&format!("{backend} attach s {key}"));
    assert_eq!(next.ok(&format!("{backend} read s 0 4")), "kept");
    assert_eq!(next.ok(&format!("{backend} detach s")), "outlives 1");
    stranger.ok("unmap");
    next.ok(&format!("{backend} sweep"));
    next.no(&format!("{backend} attach s {key}"), "NotFound");
}

fn a_foreign_segment_is_never_removed_by_a_detach_or_a_sweep(backend: &str) {
    let key = key(backend);
    let (mut one, mut stranger) = (actor(), foreign());
    stranger.ok(&format!("{} {key} 5000", make(backend)));
    stranger.ok("write 0 theirs");
    stranger.end();
    assert!(one.ok(&format!("{backend} info {key}")).ends_with("Foreign"));
    for _ in 0..2 {
        assert_eq!(one.ok(&format!("{backend} attach s {key}")), "5000");
        assert_eq!(one.ok(&format!("{backend} read s 0 6")), "theirs");
        assert_eq!(one.ok(&format!("{backend} detach s")), "outlives 1");
        one.ok(&format!("{backend} attach s {key}"));
        assert_eq!(one.ok(&format!("{backend} let-go s")), "outlives 1");
        one.ok(&format!("{backend} sweep"));
    }
    one.no(&format!("{backend} create s {key} 5000"), "Exists");
    one.ok(&format!("{backend} attach s {key}"));
    one.kill();
    let mut other = actor();
    other.ok(&format!("{backend} sweep"));
    other.ok(&format!("{backend} destroy {key}"));
    other.no(&format!("{backend} attach s {key}"), "NotFound");
}

fn a_segment_that_a_stranger_holds_is_not_destroyed_as_unheld(backend: &str) {
    let key = key(backend);
    let (mut one, mut stranger) = (actor(), foreign());
    stranger.ok(&format!("{} {key} 5000", make(backend)));
    assert_eq!(one.ok(&format!("{backend} destroy-unheld {key}")), "outlives 1");
    stranger.ok("write 0 theirs");
    one.ok(&format!("{backend} attach s {key}"));
    assert_eq!(one.ok(&format!("{backend} read s 0 6")), "theirs");
    stranger.ok("unmap");
    assert_eq!(one.ok(&format!("{backend} destroy-unheld {key}")), "outlives 1");
    assert_eq!(one.ok(&format!("{backend} detach s")), "outlives 1");
    assert_eq!(one.ok(&format!("{backend} destroy-unheld {key}")), "destroyed");
    one.no(&format!("{backend} destroy-unheld {key}"), "NotFound");
}

fn a_name_that_another_program_removes_is_gone_without_an_error(backend: &str) {
    let key = key(backend);
    let (mut one, mut stranger) = (actor(), foreign());
    one.ok(&format!("{backend} create s {key} 100"));
    one.ok(&format!("{backend} write s 0 bytes"));
    stranger.ok(&format!("{} {key}", if backend == "sysv" { "remove" } else { "unlink" }));
    assert_eq!(one.ok(&format!("{backend} current s")), "false");
    assert_eq!(one.ok(&format!("{backend} read s 0 5")), "bytes");
    one.no(&format!("{backend} attach t {key}"), "NotFound");
    // Another segment of the same name, which is not ours.
    stranger.ok(&format!("{} {key} 200", make(backend)));
    assert_eq!(one.ok(&format!("{backend} detach s")), "gone");
    one.ok(&format!("{backend} sweep"));
    assert!(one.ok(&format!("{backend} info {key}")).ends_with("Foreign"));
    one.ok(&format!("{backend} destroy {key}"));
}

fn a_persistent_segment_survives_its_killed_creator(backend: &str) {
    let key = key(backend);
    let mut one = actor();
    one.ok(&format!("{backend} create s {key} 100 persist"));
    one.ok(&format!("{backend} write s 0 kept"));
    one.kill();
    let mut next = actor();
    next.ok(&format!("{backend} sweep"));
    next.ok(&format!("{backend} attach s {key}"));
    assert_eq!(next.ok(&format!("{backend} read s 0 4")), "kept");
    assert_eq!(next.ok(&format!("{backend} detach s")), "outlives 1");
    assert!(next.ok(&format!("{backend} info {key}")).ends_with("Persistent"));
    next.ok(&format!("{backend} destroy {key}"));
    next.no(&format!("{backend} attach s {key}"), "NotFound");
}

fn a_stopped_lock_holder_makes_others_fail_and_not_hang(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (stuck, free, orphan) = (key(backend), key(backend), key(backend));
    let (mut one, mut stopped, mut dead) = (world.start(ACTOR), world.start(ACTOR), world.start(ACTOR));
    one.ok(&format!("{backend} create s {stuck} 100"));
    one.ok(&format!("{backend} create t {free} 100"));
    dead.ok(&format!("{backend} create s {orphan} 100"));
    dead.kill();
    stopped.ok(&format!("lock {backend} {stuck}"));
    stopped.signal(Signal::SIGSTOP);

    let busy = one.no(&format!("{backend} attach u {stuck}"), "EBUSY");
    assert!(busy.contains("stopped"), "{busy}");
    one.no(&format!("{backend} create u {stuck} 100"), "EBUSY");
    one.no(&format!("{backend} destroy {stuck}"), "EBUSY");
    assert_eq!(one.ok(&format!("{backend} detach s")), "outlives 1");
    assert_eq!(one.ok(&format!("{backend} sweep")), "1", "the orphan goes, the locked name is left");
    one.ok(&format!("{backend} list"));
    one.ok(&format!("{backend} attach u {free}"));
    // A process that starts now sweeps and is not held up either.
    world.start(ACTOR).ok(&format!("{backend} attach u {free}"));

    stopped.kill();
    assert_eq!(one.ok(&format!("{backend} sweep")), "1");
    one.end();
    assert_eq!(world.left(), (vec![], 0));
}

fn a_child_of_a_fork_takes_nothing_from_its_parent(backend: &str) {
    let key = key(backend);
    let mut one = actor();
    one.ok(&format!("{backend} create s {key} 100"));
    one.ok(&format!("{backend} write s 0 ours"));
    let child = one.ok(&format!("{backend} child-drops s"));
    assert!(child.starts_with("outlives"), "{child}");
    assert_eq!(one.ok(&format!("{backend} current s")), "true");
    assert_eq!(one.ok(&format!("{backend} read s 0 4")), "ours");
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_child_of_a_fork_creates_for_itself(backend: &str) {
    let (ours, childs) = (key(backend), key(backend));
    let mut one = actor();
    one.ok(&format!("{backend} create s {ours} 100"));
    assert_eq!(one.ok(&format!("{backend} child-creates {childs}")), "destroyed");
    // The parent holds this name's lock: its child is another process, and has to wait like one.
    one.ok(&format!("lock {backend} {childs}"));
    let refused = one.ok(&format!("{backend} child-creates {childs}"));
    assert!(refused.starts_with("EBUSY"), "{refused}");
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_child_of_a_process_whose_threads_are_in_calls_is_not_blocked(backend: &str) {
    let key = key(backend);
    let mut one = actor();
    one.ok(&format!("{backend} create s {key} 100"));
    assert_eq!(one.ok(&format!("{backend} children-of-threads {key} 1000")), "1000");
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
}

fn after_a_detach_without_the_lock_the_last_holder_still_destroys(backend: &str) {
    let key = key(backend);
    let (mut one, mut stuck) = (actor(), actor());
    one.ok(&format!("{backend} create s {key} 100"));
    one.ok(&format!("{backend} attach t {key}"));
    stuck.ok(&format!("lock {backend} {key}"));
    assert_eq!(one.ok(&format!("{backend} detach s")), "outlives 1");
    stuck.kill();
    assert_eq!(one.ok(&format!("{backend} detach t")), "destroyed");
}

fn when_the_librarys_files_are_removed_later_segments_are_tracked(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (before, after) = (key(backend), key(backend));
    let mut one = world.start(ACTOR);
    one.ok(&format!("{backend} create s {before} 100"));
    fs::remove_dir_all(world.folder().join(".shm-node-0")).unwrap();
    thread::sleep(Duration::from_millis(200)); // it looks ten times a second
    one.ok(&format!("{backend} create t {after} 100"));
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed", "its holder knows it still");
    one.kill();
    let mut next = world.start(ACTOR);
    next.no(&format!("{backend} attach u {after}"), "NotFound");
    next.end();
    assert_eq!(world.left(), (vec![], 0));
}

fn when_the_ledger_is_removed_later_segments_are_tracked(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (before, after) = (key(backend), key(backend));
    let mut one = world.start(ACTOR);
    one.ok(&format!("{backend} create s {before} 100"));
    fs::remove_file(world.folder().join(".shm-node-0/ledger.1")).unwrap();
    thread::sleep(Duration::from_millis(200)); // it looks ten times a second
    one.ok(&format!("{backend} create t {after} 100"));
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed", "its holder knows it still");
    one.kill();
    assert_eq!(world.start(ACTOR).ok(&format!("{backend} sweep")), "1");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_process_killed_before_the_create_leaves_an_entry_that_is_swept(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut one, key) = (world.start(ACTOR), key(backend));
    one.tell(&format!("die-before-create {backend} {key}"));
    assert_eq!(one.died(), Signal::SIGKILL);
    let mut next = world.start(ACTOR);
    assert_eq!(next.ok("entries"), "1");
    next.no(&format!("{backend} attach s {key}"), "NotFound");
    assert_eq!(next.ok("entries"), "0");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_strangers_segment_is_not_taken_for_that_of_a_process_killed_before_its_create(backend: &str) {
    let Some(world) = world("16m") else { return };
    for call in ["sweep", "attach s {key}", "create s {key} 100"] {
        let (mut one, key) = (world.start(ACTOR), key(backend));
        one.tell(&format!("die-before-create {backend} {key}"));
        assert_eq!(one.died(), Signal::SIGKILL);
        let mut stranger = world.start(FOREIGN);
        stranger.ok(&format!("{} {key} 5000", make(backend)));
        stranger.ok("write 0 theirs");
        stranger.end();
        let mut next = world.start(ACTOR);
        let answer = next.ask(&format!("{backend} {}", call.replace("{key}", &key)));
        let expected = match call {
            "sweep" => "ok 0",
            call if call.starts_with("create") => "no Exists",
            _ => "ok 5000",
        };
        assert!(answer.starts_with(expected), "{call}: {answer}");
        assert_eq!(next.ok("entries"), "0");
        next.ok(&format!("{backend} attach t {key}"));
        assert_eq!(next.ok(&format!("{backend} read t 0 6")), "theirs");
        assert_eq!(next.ok(&format!("{backend} detach t")), "outlives 1");
        assert!(next.ok(&format!("{backend} info {key}")).ends_with("Foreign"));
        next.ok(&format!("{backend} destroy {key}"));
    }
}

fn a_process_killed_after_the_create_leaves_a_segment_that_is_swept(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    for call in ["attach s {key}", "create s {key} 100", "sweep"] {
        let (mut one, key) = (world.start(ACTOR), key(backend));
        one.tell(&format!("die-after-create {backend} {key}"));
        assert_eq!(one.died(), Signal::SIGKILL);
        assert_ne!(world.left(), (vec![], 0));
        let mut next = world.start(ACTOR);
        assert_eq!(next.ok("entries"), "1");
        let answer = next.ask(&format!("{backend} {}", call.replace("{key}", &key)));
        let expected = match call {
            "sweep" => "ok 1",
            call if call.starts_with("create") => "ok 100",
            _ => "no NotFound",
        };
        assert!(answer.starts_with(expected), "{call}: {answer}");
        next.end();
        assert_eq!(world.left(), (vec![], 0));
        assert_eq!(world.start(ACTOR).ok("entries"), "0");
    }
}

fn processes_killed_at_any_moment_leave_nothing(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let key = key(backend);
    for round in 0..60 {
        let (mut one, mut other) = (world.start(ACTOR), world.start(ACTOR));
        one.tell(&format!("{backend} loop {key}"));
        other.tell(&format!("{backend} loop {key}"));
        thread::sleep(Duration::from_micros(round * 97));
        one.kill();
        other.kill();
    }
    let mut next = world.start(ACTOR);
    next.no(&format!("{backend} attach s {key}"), "NotFound");
    assert_eq!(next.ok("entries"), "0");
    assert_eq!(world.left(), (vec![], 0));
}

fn the_mode_is_exact_whatever_the_umask(backend: &str) {
    let mut one = actor();
    for (umask, asked, mode) in
        [("777", "", "600"), ("777", " mode=666", "666"), ("077", " mode=660", "660"), ("000", "", "600")]
    {
        let key = key(backend);
        one.ok(&format!("umask {umask}"));
        one.ok(&format!("{backend} create s {key} 100{asked}"));
        assert_eq!(one.ok(&format!("{backend} info {key}")).split(' ').nth(1), Some(mode));
        one.ok(&format!("{backend} detach s"));
    }
    // The library's own files are what they have to be as well.
    if let Some(world) = world("16m") {
        let mut one = world.start(ACTOR);
        one.ok("umask 777");
        one.ok(&format!("{backend} create s {} 100 mode=660", key(backend)));
        one.ok(&format!("{backend} create t {} 100 mode=666", key(backend)));
        let files = [
            ("", 0o711),
            ("/ledger.1", 0o600),
            ("/lock", 0o600),
            ("/lock.group-0", 0o660),
            ("/live.group-0", 0o660),
            ("/lock.all", 0o666),
            ("/live.all", 0o666),
        ];
        for (file, mode) in files {
            let path = world.folder().join(format!(".shm-node-0{file}"));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{}", path.display());
        }
    }
}

fn a_first_use_under_umask_0777_locks_nobody_out(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut one, key) = (world.start(ACTOR), key(backend));
    one.ok("user 1000");
    one.ok("umask 777");
    one.ok(&format!("{backend} create s {key} 100"));
    one.kill();
    // And one that died before it could set the modes right.
    let folder = world.folder().join(".shm-node-1000");
    for path in [folder.join("lock"), folder.join("ledger.1"), folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let mut next = world.start(ACTOR);
    next.ok("user 1000");
    assert_eq!(next.ok(&format!("{backend} sweep")), "1");
    next.ok(&format!("{backend} create s {key} 100"));
}

fn a_child_of_a_fork_does_not_keep_its_killed_parents_lock(backend: &str) {
    let (mut one, mut other, key) = (actor(), actor(), key(backend));
    one.ok(&format!("lock {backend} {key}"));
    let child = one.ok("leave-child");
    other.no(&format!("{backend} create s {key} 100"), "EBUSY");
    one.kill();
    let created = other.ask(&format!("{backend} create s {key} 100"));
    let child = nix::unistd::Pid::from_raw(child.parse().unwrap());
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(created, "ok 100");
    assert_eq!(other.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_program_that_closes_all_descriptors_goes_on(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut one, mut other) = (world.start(ACTOR), world.start(ACTOR));
    let (held, locked) = (key(backend), key(backend));
    one.ok(&format!("{backend} create s {held} 100"));
    one.ok("close-all /dev/shm/file-of-its-own");
    // It is noticed after a while, and until then calls may fail.
    while !one.ask(&format!("{backend} create t {} 100", key(backend))).starts_with("ok") {}
    one.ok(&format!("{backend} detach t"));
    one.ok(&format!("lock {backend} {locked}"));
    other.no(&format!("{backend} create s {locked} 100"), "EBUSY");
    assert_eq!(fs::read(world.folder().join("file-of-its-own")).unwrap(), b"");
    assert_eq!(one.ok("entries"), "1");
    // What it held before is left to those who come.
    one.ok(&format!("{backend} detach s"));
    assert_eq!(one.ok("open-as /dev/shm/file-of-its-own"), "64", "what is not ours is not ours to close");
    one.end();
    other.ok(&format!("{backend} sweep"));
    assert_eq!(other.ok("entries"), "0");
}

fn a_program_that_a_holder_starts_inherits_no_file(backend: &str) {
    let (mut one, key) = (actor(), key(backend));
    one.ok(&format!("{backend} create s {key} 100 mode=666"));
    one.ok(&format!("{backend} attach t {key}"));
    one.ok(&format!("{backend} sweep"));
    let files = one.ok("files-of-a-child");
    assert!(files.contains("/proc/") && !files.contains("shm"), "{files}");
    assert_eq!(one.ok(&format!("{backend} detach t")), "outlives 1");
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
}

#[test]
fn a_sweep_leaves_the_system_v_segments_of_another_ipc_namespace() {
    let Some(mut world) = world("16m") else { return };
    let mut elsewhere = world.start(ACTOR);
    elsewhere.ok("new-ipc");
    assert_eq!(elsewhere.ok("sysv sweep"), "0");
    let mut dead = world.start(ACTOR);
    dead.ok("sysv create s 4711 100");
    dead.kill();
    // The same user and ledger, but an id that means nothing here, or something else.
    assert_eq!(elsewhere.ok("sysv sweep"), "0");
    elsewhere.no("sysv attach s 4711", "NotFound");
    assert_eq!(elsewhere.ok("entries"), "1");
    assert_eq!(world.left().1, 1);
    let mut next = world.start(ACTOR);
    assert_eq!(next.ok("sysv sweep"), "1");
    assert_eq!((next.ok("entries").as_str(), world.left()), ("0", (vec![], 0)));
}

#[test]
fn a_process_that_leaves_the_ipc_namespace_of_its_segments_forgets_none() {
    let Some(mut world) = world("16m") else { return };
    let mut one = world.start(ACTOR);
    for slot in 1..=3 {
        one.ok(&format!("sysv create {slot} {slot} 100"));
    }
    one.ok("new-ipc");
    assert_eq!(one.ok("sysv sweep"), "0");
    assert_eq!(one.ok("sysv detach 1"), "outlives 1");
    assert_eq!((one.ok("entries").as_str(), world.left().1), ("3", 3));
    // It is noticed after a while, and until then the key seems to be taken.
    while !one.ask("sysv create s 2 200").starts_with("ok") {}
    assert_eq!(one.ok("entries"), "4");
    assert_eq!(one.ok("sysv detach s"), "destroyed");
    one.kill();
    assert_eq!(world.start(ACTOR).ok("sysv sweep"), "3");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn a_system_v_key_that_is_taken_in_another_ipc_namespace_can_be_created() {
    let Some(mut world) = world("16m") else { return };
    let (mut here, mut elsewhere) = (world.start(ACTOR), world.start(ACTOR));
    here.ok("sysv create s 4711 100");
    elsewhere.ok("new-ipc");
    elsewhere.ok("sysv create s 4711 200");
    // Each has its own, and finds its own entry.
    assert_eq!(here.ok("entries"), "2");
    for (one, size) in [(&mut here, "100"), (&mut elsewhere, "200")] {
        assert_eq!(one.ok("sysv attach t 4711"), size);
        one.no("sysv create u 4711 300", "Exists");
        assert_eq!(one.ok("sysv detach t"), "outlives 1");
        assert_eq!(one.ok("sysv sweep"), "0");
    }
    assert_eq!(elsewhere.ok("sysv detach s"), "destroyed");
    assert_eq!(here.ok("sysv size s"), "100");
    assert_eq!(here.ok("sysv detach s"), "destroyed");
    assert_eq!((here.ok("entries").as_str(), world.left()), ("0", (vec![], 0)));
}

#[test]
fn a_sweep_leaves_a_segment_that_only_another_pid_namespace_can_judge() {
    let Some(mut world) = world("16m") else { return };
    // Not the first process there: that one cannot be killed from inside.
    let mut inside = Command::new("unshare");
    let mut one = Puppet::run(inside.args(["--pid", "--fork", "sh", "-c", "\"$0\" || true", ACTOR]));
    world.take(&mut one);
    one.tell("die-after-create sysv 4712");
    one.end();
    assert_eq!(world.left().1, 1);
    // Whether that process made the segment cannot be known here, so nothing is decided.
    let mut next = world.start(ACTOR);
    assert_eq!(next.ok("sysv sweep"), "0");
    assert_eq!((next.ok("entries").as_str(), world.left().1), ("1", 1));
    next.ok("sysv destroy 4712");
    next.ok("sysv sweep");
    assert_eq!((next.ok("entries").as_str(), world.left().1), ("0", 0));
}

#[test]
fn a_sweep_leaves_the_posix_objects_of_another_mount() {
    let Some(mut world) = world("16m") else { return };
    let (mut one, mut dead) = (world.start(ACTOR), world.start(ACTOR));
    one.ok("posix create s held 100");
    dead.ok("posix create s orphan 100");
    dead.kill();
    // It has the ledger open, and from now on another /dev/shm.
    one.ok("new-mounts");
    one.ok("cover /dev/shm");
    fs::create_dir(format!("/proc/{}/root/dev/shm/orphan", one.pid())).unwrap();
    assert_eq!(one.ok("posix sweep"), "0");
    assert_eq!(one.ok("entries"), "2");
    assert_eq!(world.left(), (vec!["held".into(), "orphan".into()], 0));
    one.kill();
    assert_eq!(world.start(ACTOR).ok("posix sweep"), "2");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn a_posix_name_that_is_taken_on_another_mount_can_be_created() {
    let Some(mut world) = world("16m") else { return };
    let mut one = world.start(ACTOR);
    one.ok("posix create s name 100");
    // It has the ledger open, and from now on another /dev/shm.
    one.ok("new-mounts");
    one.ok("cover /dev/shm");
    one.no("posix attach t name", "NotFound");
    one.ok("posix create t name 200");
    one.no("posix create u name 300", "Exists");
    assert_eq!(one.ok("posix attach u name"), "200");
    assert_eq!(one.ok("posix detach u"), "outlives 1");
    assert_eq!(one.ok("entries"), "2");
    assert_eq!(one.ok("posix detach t"), "destroyed");
    assert_eq!((one.ok("entries").as_str(), world.left().0), ("1", vec!["name".into()]));
    one.kill();
    assert_eq!(world.start(ACTOR).ok("posix sweep"), "1");
    assert_eq!(world.left(), (vec![], 0));
}
