//! A small `/dev/shm`, filled to the last byte.

use crate::cast::{ACTOR, FOREIGN, key, on_both_backends, world};
use nix::sys::statvfs::statvfs;
use shm_tests::World;

on_both_backends! {
    orphans_are_swept_before_a_create_fails_for_memory
    on_a_full_mount_others_attach_detach_destroy_list_and_sweep
}

fn free(world: &World) -> u64 {
    let stat = statvfs(&world.folder()).unwrap();
    stat.blocks_available() * stat.fragment_size()
}

#[test]
fn a_create_that_does_not_fit_says_what_was_asked_and_what_is_free() {
    let Some(mut world) = world("16m") else { return };
    let mut actor = world.start(ACTOR);
    actor.ok("posix create s small 4096");
    for (size, flags) in [(20 << 20, ""), (16 << 20, ""), (20 << 20, " huge"), (200 << 20, " mode=666")] {
        let before = free(&world);
        let message = actor.no(&format!("posix create t large {size}{flags}"), "ENOSPC");
        assert!(
            message.contains(&format!("Asked for {size} bytes; /dev/shm has {before} free")),
            "{message}"
        );
        assert_eq!(free(&world), before);
        actor.no("posix info large", "NotFound");
        assert_eq!(actor.ok("entries"), "1");
    }
    actor.ok(&format!("posix create t large {}", 8 << 20));
    actor.ok("posix detach t");
    actor.ok("posix detach s");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn what_was_created_can_be_written_to_the_last_byte() {
    let Some(mut world) = world("16m") else { return };
    let mut actor = world.start(ACTOR);
    let sizes = [1 << 20, 3 << 20, 5 << 20, 123_456, 1 << 20, 4 << 20, 1 << 20, 1 << 20, 65536, 4096, 4096];
    let mut made = Vec::new();
    for (slot, size) in sizes.into_iter().enumerate() {
        let answer = actor.ask(&format!("posix create {slot} full{slot} {size}"));
        if answer.starts_with("ok") {
            made.push((slot, size));
        } else {
            assert!(answer.starts_with("no ENOSPC"), "{answer}");
        }
    }
    assert!(made.len() > 3 && made.len() < sizes.len());
    for (slot, size) in made {
        assert_eq!(actor.ok(&format!("posix fill {slot}")), size.to_string());
    }
    actor.end();
    assert_eq!(world.left(), (vec![], 0));
}

fn on_a_full_mount_others_attach_detach_destroy_list_and_sweep(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (held, doomed, orphan, late) = (key(backend), key(backend), key(backend), key(backend));
    let (mut one, mut dead, mut filler) = (world.start(ACTOR), world.start(ACTOR), world.start(FOREIGN));
    one.ok(&format!("{backend} create held {held} 5000 mode=666"));
    one.ok(&format!("{backend} create doomed {doomed} 5000"));
    dead.ok(&format!("{backend} create s {orphan} 5000"));
    filler.ok(&format!("fill {}", world.folder().join("filler").display()));
    assert_eq!(free(&world), 0);
    dead.kill();

    // A process that was there, one that starts now, and one of a user who has no folder yet.
    let (mut new, mut stranger) = (world.start(ACTOR), world.start(ACTOR));
    stranger.ok("user 1000");
    for actor in [&mut one, &mut new, &mut stranger] {
        actor.ok(&format!("{backend} attach s {held}"));
        actor.ok(&format!("{backend} write s 4990 to-the-end"));
        assert_eq!(actor.ok(&format!("{backend} read s 4990 10")), "to-the-end");
        actor.ok(&format!("{backend} list"));
        actor.ok(&format!("{backend} info {held}"));
        actor.ok(&format!("{backend} sweep"));
        assert!(actor.ok(&format!("{backend} detach s")).starts_with("outlives"));
    }
    new.no(&format!("{backend} info {orphan}"), "NotFound");
    // The orphan's page is free again; the rest is taken.
    filler.ok(&format!("fill {}", world.folder().join("filler2").display()));
    let answer = new.ask(&format!("{backend} create t {late} 100000"));
    assert!(
        if backend == "posix" { answer.starts_with("no ENOSPC") } else { answer == "ok 100000" },
        "{answer}"
    );
    new.ok(&format!("{backend} destroy {doomed}"));
    new.no(&format!("{backend} attach u {doomed}"), "NotFound");
    assert_eq!(one.ok(&format!("{backend} detach doomed")), "gone");
    assert_eq!(one.ok(&format!("{backend} detach held")), "destroyed");
    new.end();
    assert_eq!(one.ok("entries"), "0");
    assert_eq!(world.left(), (vec!["filler".into(), "filler2".into()], 0));
}

#[test]
fn a_mount_that_was_full_from_the_start_gives_an_error_and_no_crash() {
    let Some(world) = world("16m") else { return };
    world.start(FOREIGN).ok(&format!("fill {}", world.folder().join("filler").display()));
    for backend in ["posix", "sysv"] {
        let mut actor = world.start(ACTOR);
        let message = actor.no(&format!("{backend} create s {} 4096", key(backend)), "ENOSPC");
        assert!(message.contains("room") || message.contains("free"), "{message}");
        actor.no(&format!("{backend} attach s {}", key(backend)), "NotFound");
        assert_eq!(actor.ok(&format!("{backend} sweep")), "0");
        actor.ok(&format!("{backend} list"));
    }
}

#[test]
fn a_ledger_that_cannot_grow_is_an_error_and_loses_nothing() {
    let Some(mut world) = world("16m") else { return };
    let (mut actor, mut filler) = (world.start(ACTOR), world.start(FOREIGN));
    actor.ok("sysv create s 1 100");
    filler.ok(&format!("fill {}", world.folder().join("filler").display()));
    let mut made = 1;
    let refused = loop {
        let answer = actor.ask(&format!("sysv create {made} {} 100", made + 1));
        if !answer.starts_with("ok") {
            break answer;
        }
        made += 1;
    };
    assert!(refused.starts_with("no ENOSPC") && refused.contains("ledger"), "{refused}");
    assert!(made < 128, "the first level has 127 places");
    assert_eq!(world.left().1, made, "nothing was created without an entry");
    actor.end();
    assert_eq!(world.left(), (vec!["filler".into()], 0));
}

#[test]
fn orphans_are_swept_before_a_create_fails_for_room() {
    let Some(mut world) = world("16m") else { return };
    let mut next = world.start(ACTOR);
    assert_eq!(next.ok("posix sweep"), "0");
    let mut dead = world.start(ACTOR);
    dead.ok(&format!("posix create s orphan {}", 12 << 20));
    next.no(&format!("posix create s large {}", 12 << 20), "ENOSPC");
    dead.kill();
    next.ok(&format!("posix create s large {}", 12 << 20));
    next.no("posix info orphan", "NotFound");
    next.end();
    assert_eq!(world.left(), (vec![], 0));
}

/// More than any machine has. What orphans hold might have been enough.
fn orphans_are_swept_before_a_create_fails_for_memory(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut next, orphan, large) = (world.start(ACTOR), key(backend), key(backend));
    for moment in ["in its first call", "later"] {
        let mut dead = world.start(ACTOR);
        dead.ok(&format!("{backend} create s {orphan} 100"));
        dead.kill();
        next.no(&format!("{backend} create s {large} {}", 1_u64 << 60), "ENOMEM");
        assert_eq!((world.left(), next.ok("entries")), ((vec![], 0), "0".into()), "{moment}");
    }
}

/// As on kernels that undo a long reservation at each signal, in a program with a timer or a profiler.
#[test]
fn a_create_gets_its_room_though_each_long_reservation_is_interrupted() {
    let Some(mut world) = world("100m") else { return };
    let mut actor = world.start(ACTOR);
    actor.ok("posix create s small 4096");
    actor.ok("posix detach s");
    actor.ok(&format!("refuse long-fallocate {}", libc::EINTR));
    for size in [50 << 20, 70 << 20] {
        let before = free(&world);
        actor.ok(&format!("posix create s large {size}"));
        assert_eq!(free(&world), before - size);
        assert_eq!(actor.ok("posix fill s"), size.to_string());
        assert_eq!(actor.ok("posix detach s"), "destroyed");
    }
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn on_a_file_system_that_reserves_no_room_a_ledger_keeps_all_its_entries() {
    let Some(mut world) = world("16m") else { return };
    let (mut one, mut next) = (world.start(ACTOR), world.start(ACTOR));
    for actor in [&mut one, &mut next] {
        actor.ok(&format!("refuse fallocate {}", libc::EOPNOTSUPP));
    }
    for slot in 1..=300 {
        one.ok(&format!("sysv create {slot} {slot} 1"));
    }
    assert_eq!(next.ok("entries"), "300");
    assert_eq!(one.ok("sysv detach 300"), "destroyed");
    one.kill();
    assert_eq!(next.ok("sysv sweep"), "299");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn a_large_create_that_is_refused_takes_no_room() {
    let Some(mut world) = world("100m") else { return };
    let mut actor = world.start(ACTOR);
    actor.ok("posix create s small 4096");
    // A process that reserved a part of it first would keep that part from the others meanwhile.
    actor.ok(&format!("refuse fallocate {}", libc::EIO));
    actor.no("posix create t tiny 4096", "EIO");
    actor.no(&format!("posix create t large {}", 200 << 20), "ENOSPC");
    assert_eq!(world.left().0, ["small"]);
}

#[test]
fn a_quota_that_is_used_up_is_treated_like_a_full_mount() {
    let Some(mut world) = world("16m") else { return };
    let (mut next, mut dead) = (world.start(ACTOR), world.start(ACTOR));
    next.ok("posix create s ours 4096");
    dead.ok("posix create s orphan 4096");
    dead.kill();
    next.ok(&format!("refuse fallocate {}", libc::EDQUOT));
    let message = next.no("posix create t another 4096", "EDQUOT");
    assert!(message.contains("quota on /dev/shm"), "{message}");
    assert_eq!(world.left().0, ["ours"], "the orphan was swept");
    // Where even the ledger has no room.
    let mut other = world.start(ACTOR);
    other.ok("user 1000");
    other.ok(&format!("refuse fallocate {}", libc::EDQUOT));
    let message = other.no("posix create s another 4096 no-reserve", "EDQUOT");
    assert!(message.contains("ledger") && message.contains("quota"), "{message}");
}

#[test]
fn a_mount_without_inodes_is_an_error_that_says_so() {
    let Some(mut world) = world("16m,nr_inodes=40") else { return };
    let (mut next, mut dead) = (world.start(ACTOR), world.start(ACTOR));
    next.ok("posix create s ours 4096");
    dead.ok("posix create s orphan 4096");
    let files =
        (0..40).map_while(|number| std::fs::File::create(world.folder().join(number.to_string())).ok());
    let made = files.count();
    assert!(made < 40);
    let message = next.no("posix create t another 4096", "ENOSPC");
    assert!(message.contains("none of its 40 inodes is left") && message.contains("nr_inodes"), "{message}");
    dead.kill();
    next.ok("posix create t another 4096");
    next.end();
    assert_eq!(world.left().0.len(), made);
}
