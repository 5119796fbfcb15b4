//! Other users: what they may, what they may not, and who frees what they leave.

use crate::cast::{ACTOR, FOREIGN, key, on_both_backends, world};
use shm_tests::{Puppet, World};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

const OWNER: &str = "user 1000";
const SAME_GROUP: &str = "user 65534 1000";
const STRANGER: &str = "user 65534";

on_both_backends! {
    a_private_segment_is_refused_to_another_user
    a_group_segment_is_shared_within_the_group_only
    a_stranger_cannot_disturb_users_who_may_open_a_segment
    members_of_a_group_that_the_owner_is_not_in_can_attach
    a_segment_for_all_is_shared_with_another_user
    a_segment_that_the_second_user_leaves_last_is_freed_by_the_owners_next_call
    a_segment_that_the_second_user_leaves_last_is_freed_by_the_owners_sweep
    the_owner_frees_the_segment_of_a_killed_second_user
    another_user_cannot_destroy
    another_users_segment_is_foreign_and_its_key_taken
    a_sweep_never_touches_segments_of_other_users
    a_process_that_changes_its_user_uses_that_users_files
}

fn play(world: &World, user: &str) -> Puppet {
    let mut puppet = world.start(ACTOR);
    puppet.ok(user);
    puppet
}

fn a_private_segment_is_refused_to_another_user(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, SAME_GROUP), key(backend));
    owner.ok(&format!("{backend} create s {key} 100"));
    let message = other.no(&format!("{backend} attach s {key}"), "EACCES");
    assert!(message.contains("mode does not let this user"), "{message}");
    assert_eq!(owner.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_group_segment_is_shared_within_the_group_only(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, mut stranger) = (play(&world, OWNER), play(&world, STRANGER));
    let (mut member, key) = (play(&world, SAME_GROUP), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=660"));
    stranger.no(&format!("{backend} attach s {key}"), "EACCES");
    member.ok(&format!("{backend} attach s {key}"));
    member.ok(&format!("{backend} write s 0 hello"));
    assert_eq!(owner.ok(&format!("{backend} read s 0 5")), "hello");
    assert_eq!(member.ok(&format!("{backend} detach s")), "outlives 1");
    assert_eq!(owner.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_stranger_cannot_disturb_users_who_may_open_a_segment(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, mut stranger) = (play(&world, OWNER), world.start(FOREIGN));
    stranger.ok(STRANGER);
    let folder = world.folder().join(".shm-node-1000");
    // One segment that everybody may open, and so a file that everybody may lock.
    owner.ok(&format!("{backend} create all {} 100 mode=666", key(backend)));
    owner.ok(&format!("{backend} create group {} 100 mode=660", key(backend)));
    let mut seized: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    seized.retain(|name| {
        let answer = stranger.ask(&format!("seize /dev/shm/.shm-node-1000/{}", name.to_str().unwrap()));
        assert!(answer == "ok " || answer.starts_with("no EACCES"), "{answer}");
        answer == "ok "
    });
    seized.sort();
    assert_eq!(seized, ["live.all", "lock.all"]);
    for mode in ["600", "660"] {
        let key = key(backend);
        owner.ok(&format!("{backend} create s {key} 100 mode={mode}"));
        let mut member = play(&world, if mode == "660" { SAME_GROUP } else { OWNER });
        member.ok(&format!("{backend} attach s {key}"));
        member.kill();
        assert_eq!(owner.ok(&format!("{backend} detach s")), "destroyed");
    }
}

fn members_of_a_group_that_the_owner_is_not_in_can_attach(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut owner, key) = (play(&world, OWNER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=660"));
    world.start(FOREIGN).ok(&format!("chgrp {backend} {key} 4242"));
    let mut member = play(&world, "user 65534 4242");
    member.ok(&format!("{backend} attach s {key}"));
    assert_eq!(owner.ok(&format!("{backend} detach s")), "outlives 1");
    owner.ok(&format!("{backend} attach s {key}"));
    assert_eq!(owner.ok(&format!("{backend} detach s")), "outlives 1");
    assert_eq!(member.ok(&format!("{backend} detach s")), "outlives 1");
    assert_eq!(owner.ok(&format!("{backend} sweep")), "1");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_segment_for_all_is_shared_with_another_user(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, STRANGER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    for _ in 0..20 {
        other.ok(&format!("{backend} attach s {key}"));
        other.ok(&format!("{backend} write s 0 hello"));
        assert_eq!(owner.ok(&format!("{backend} read s 0 5")), "hello");
        assert_eq!(other.ok(&format!("{backend} detach s")), "outlives 1");
        // The owner comes back while the other one is in.
        other.ok(&format!("{backend} attach s {key}"));
        assert_eq!(owner.ok(&format!("{backend} detach s")), "outlives 1");
        owner.ok(&format!("{backend} attach s {key}"));
        assert_eq!(other.ok(&format!("{backend} detach s")), "outlives 1");
    }
    assert_eq!(owner.ok(&format!("{backend} detach s")), "destroyed");
}

fn a_segment_that_the_second_user_leaves_last_is_freed_by_the_owners_next_call(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, STRANGER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    other.ok(&format!("{backend} attach s {key}"));
    assert_eq!(owner.ok(&format!("{backend} detach s")), "outlives 1");
    owner.end();
    assert_eq!(other.ok(&format!("{backend} read s 0 1")), "\0");
    assert_eq!(other.ok(&format!("{backend} detach s")), "outlives 1", "only the owner destroys");
    other.end();
    assert_ne!(world.left(), (vec![], 0));
    play(&world, OWNER).no(&format!("{backend} attach s {key}"), "NotFound");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_segment_that_the_second_user_leaves_last_is_freed_by_the_owners_sweep(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, STRANGER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    other.ok(&format!("{backend} attach s {key}"));
    assert_eq!(owner.ok(&format!("{backend} let-go s")), "outlives 1");
    assert_eq!(owner.ok(&format!("{backend} sweep")), "0");
    assert_eq!(other.ok(&format!("{backend} let-go s")), "outlives 1");
    assert_eq!(other.ok(&format!("{backend} sweep")), "0");
    assert_eq!(owner.ok(&format!("{backend} sweep")), "1");
    assert_eq!(world.left(), (vec![], 0));
}

fn the_owner_frees_the_segment_of_a_killed_second_user(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, STRANGER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    other.ok(&format!("{backend} attach s {key}"));
    other.kill();
    assert_eq!(owner.ok(&format!("{backend} detach s")), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
}

fn another_user_cannot_destroy(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, STRANGER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    for call in ["destroy", "destroy-unheld"] {
        let answer = other.ask(&format!("{backend} {call} {key}"));
        let held = call == "destroy-unheld" && answer == "ok outlives 1"; // System V tells anybody
        assert!(held || answer.starts_with("no EPERM") || answer.starts_with("no EACCES"), "{answer}");
        assert_eq!(owner.ok(&format!("{backend} current s")), "true");
    }
    assert_eq!(owner.ok(&format!("{backend} destroy-unheld {key}")), "outlives 1");
    // Root may.
    world.start(ACTOR).ok(&format!("{backend} destroy {key}"));
    assert_eq!(owner.ok(&format!("{backend} detach s")), "gone");
}

fn another_users_segment_is_foreign_and_its_key_taken(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, mut other, key) = (play(&world, OWNER), play(&world, STRANGER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=644"));
    other.no(&format!("{backend} create s {key} 100"), "Exists");
    other.no(&format!("{backend} attach s {key}"), "EACCES");
    let info = other.ok(&format!("{backend} info {key}"));
    assert!(info.starts_with("100 644 1000 ") && info.ends_with(" Foreign"), "{info}");
    assert!(other.ok(&format!("{backend} list")).contains(&format!("{key}=Foreign")));
    if backend == "posix" {
        other.ok(&format!("posix attach-read-only s {key}"));
        owner.ok("posix write s 0 seen");
        assert_eq!(other.ok("posix read s 0 4"), "seen");
        assert_eq!(owner.ok("posix detach s"), "outlives 1");
        assert_eq!(other.ok("posix detach s"), "outlives 1");
        assert_eq!(owner.ok("posix sweep"), "1");
    } else {
        assert_eq!(owner.ok("sysv detach s"), "destroyed");
    }
}

fn a_sweep_never_touches_segments_of_other_users(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut owner, key) = (play(&world, OWNER), key(backend));
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    owner.kill();
    for user in [STRANGER, "user 0"] {
        let mut other = play(&world, user);
        assert_eq!(other.ok(&format!("{backend} sweep")), "0", "{user}");
        other.ok(&format!("{backend} attach s {key}"));
        assert_eq!(other.ok(&format!("{backend} detach s")), "outlives 1", "{user}");
    }
    assert_eq!(play(&world, OWNER).ok(&format!("{backend} sweep")), "1");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_process_that_changes_its_user_uses_that_users_files(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut one, as_root, as_user) = (world.start(ACTOR), key(backend), key(backend));
    one.ok(&format!("{backend} create root {as_root} 100"));
    one.ok(OWNER);
    one.ok(&format!("{backend} create user {as_user} 100"));
    assert_eq!(one.ok("entries"), "1");
    assert_eq!(one.ok(&format!("{backend} info {as_user}")).split(' ').nth(2), Some("1000"));
    assert_eq!(one.ok(&format!("{backend} detach user")), "destroyed");
    // What it created as root is not this user's to remove; root's next sweep is asked for that.
    assert_eq!(one.ok(&format!("{backend} detach root")), "outlives 1");
    assert_eq!(world.start(ACTOR).ok(&format!("{backend} sweep")), "1");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn without_a_sticky_bit_on_dev_shm_a_stranger_removes_names_but_not_memory() {
    let Some(world) = world("16m") else { return };
    fs::set_permissions(world.folder(), Permissions::from_mode(0o777)).unwrap();
    let (mut owner, mut stranger) = (play(&world, OWNER), world.start(FOREIGN));
    stranger.ok(STRANGER);
    owner.ok("posix create s name 100");
    owner.ok("sysv create s 80 100");
    owner.ok("posix write s 0 mine");
    stranger.ok("unlink name");
    stranger.ok("move /dev/shm/.shm-node-1000 /dev/shm/elsewhere");
    stranger.ok("folder /dev/shm/.shm-node-1000");
    assert_eq!(owner.ok("posix read s 0 4"), "mine");
    assert_eq!(owner.ok("posix current s"), "false");
    assert_eq!(owner.ok("sysv current s"), "true");
    play(&world, OWNER).no("posix info name", "NotFound");
    assert_eq!(owner.ok("posix detach s"), "gone");
    assert_eq!(owner.ok("sysv detach s"), "destroyed", "it has the folder open");
}

#[test]
fn a_crash_while_the_mode_was_0_does_not_lock_the_owner_out() {
    let Some(mut world) = world("16m") else { return };
    let (mut one, mut other, key) = (play(&world, OWNER), play(&world, OWNER), key("sysv"));
    let mut root = world.start(FOREIGN);
    other.ok("sysv sweep");
    other.no(&format!("sysv attach s {key}"), "NotFound");
    one.ok(&format!("sysv create s {key} 100 mode=660"));
    root.ok(&format!("shut {key}"));
    other.ok(&format!("sysv attach s {key}"));
    assert!(other.ok(&format!("sysv info {key}")).starts_with("100 660 "));
    other.ok("sysv detach s");
    one.kill();
    root.ok(&format!("shut {key}"));
    other.no(&format!("sysv attach s {key}"), "NotFound");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn if_dev_shm_cannot_be_written_system_v_works_and_posix_says_so() {
    let Some(mut world) = world("16m") else { return };
    let mut root = world.start(ACTOR);
    root.ok("posix create s shared 100 mode=666");
    fs::set_permissions(world.folder(), Permissions::from_mode(0o755)).unwrap();
    let (mut one, mut other) = (play(&world, OWNER), play(&world, OWNER));
    one.ok("sysv create s 77 100");
    other.ok("sysv attach s 77");
    assert_eq!(one.ok("sysv detach s"), "outlives 1");
    assert_eq!(other.ok("entries"), "1");
    other.kill();
    assert_eq!(one.ok("sysv sweep"), "1");
    let message = one.no("posix create s mine 100", "EACCES");
    assert!(message.contains("/dev/shm cannot be written by this user"), "{message}");
    assert_eq!(one.ok("entries"), "0");
    one.ok("posix attach s shared");
    assert_eq!(one.ok("posix detach s"), "outlives 1");
    assert_eq!(root.ok("posix detach s"), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
    // Root shares with a user whose files are elsewhere.
    one.ok("sysv create s 78 100 mode=666");
    root.ok("sysv attach s 78");
    assert_eq!(one.ok("sysv detach s"), "outlives 1");
    assert_eq!(root.ok("sysv detach s"), "outlives 1");
    assert_eq!(one.ok("sysv sweep"), "1");
}

#[test]
fn a_posix_segment_that_its_owner_may_only_read_is_attached_read_only() {
    let Some(mut world) = world("16m") else { return };
    let (mut one, mut other) = (play(&world, OWNER), play(&world, OWNER));
    one.ok("posix create s name 100 mode=400");
    one.ok("posix write s 0 seen");
    other.no("posix attach s name", "EACCES");
    other.ok("posix attach-read-only s name");
    assert_eq!(other.ok("posix read s 0 4"), "seen");
    // The kernel is asked about it through a descriptor that can only read.
    assert_eq!(one.ok("posix detach s"), "outlives 1");
    assert_eq!(other.ok("posix detach s"), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn a_system_v_segment_that_its_owner_may_not_write_is_refused_and_leaves_nothing() {
    let Some(mut world) = world("16m") else { return };
    let mut one = play(&world, OWNER);
    one.no("sysv create s 79 100 mode=400", "EACCES");
    assert_eq!((one.ok("entries").as_str(), world.left()), ("0", (vec![], 0)));
}
