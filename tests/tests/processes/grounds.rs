//! `/dev/shm` on other file systems than tmpfs. On overlayfs a lease says nothing of who has an object mapped, and ext4
//! gives an inode to the next file.

use crate::cast::{ACTOR, FOREIGN, key, world, world_on};
use shm_tests::{Puppet, World};
use std::{
    fs::{self, File, Metadata},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
};

macro_rules! on {
    ($($module:ident $ground:literal { $($name:ident)+ })+) => {
        $(mod $module {
            $(#[test] fn $name() { if let Some(world) = super::world_on($ground) { super::$name(world) } })+
        })+
    };
}

macro_rules! on_every_ground {
    ($($name:ident)+) => { on_every_ground! { @ { $($name)+ } } };
    (@ $names:tt) => {
        on! {
            tmpfs "tmpfs" $names
            overlayfs "overlayfs" $names
            overlayfs_of_two "overlayfs-of-two" $names
            ext4 "ext4" $names
        }
    };
}

on_every_ground! {
    a_held_segment_survives_the_first_call_of_another_process
    a_read_only_attachment_counts_as_a_holder
    a_segment_that_a_child_of_a_fork_holds_is_not_destroyed
    a_segment_that_another_user_holds_is_not_destroyed
    a_segment_stays_until_all_its_holders_are_killed_and_a_sweep_frees_it
    a_holder_that_waits_for_others_is_the_last
    a_segment_that_is_left_in_a_signal_handler_goes
    a_segment_that_changed_its_size_stays_ours
    a_file_that_has_the_number_of_one_of_ours_stays_open
    a_name_that_another_program_removed_can_be_created_again
    an_orphan_is_freed_if_its_device_has_another_number_since_a_restart
}

on! {
    where_only_marks_are_to_be_trusted "overlayfs" {
        a_held_segment_survives_a_flipped_bit_in_its_entry
        a_segment_that_was_given_another_mode_is_left_alone
    }
    where_strangers_are_not_seen "overlayfs" {
        a_stranger_keeps_its_memory_and_the_name_goes
        a_stranger_that_keeps_its_descriptor_is_seen
        holders_of_a_segment_outside_the_ledger_are_unknown
    }
    where_files_have_another_device_than_their_folder "overlayfs-of-two" {
        a_stranger_keeps_its_memory_and_the_name_goes
        holders_of_a_segment_outside_the_ledger_are_unknown
    }
    where_inodes_are_given_again "ext4" {
        a_foreign_segment_with_the_inode_of_ours_stays
    }
}

/// The next process that calls the library sweeps.
fn first_call(world: &World) -> Puppet {
    let mut next = world.start(ACTOR);
    next.no(&format!("posix attach none {}", key("posix")), "NotFound");
    next
}

#[track_caller]
fn assert_held(world: &World, key: &str) {
    let mut third = first_call(world);
    assert_eq!(third.ok("posix sweep"), "0");
    assert!(third.ok(&format!("posix info {key}")).ends_with("Held"));
    assert_eq!(third.ok(&format!("posix destroy-unheld {key}")), "outlives 1");
    third.ok(&format!("posix attach s {key}"));
    assert_eq!(third.ok("posix detach s"), "outlives 1");
    third.ok(&format!("posix attach s {key}"));
    third.kill();
}

#[track_caller]
fn assert_freed_by_the_next_call(mut world: World) {
    first_call(&world).end();
    assert_eq!(world.left(), (vec![], 0));
    assert_eq!(world.start(ACTOR).ok("entries"), "0");
}

fn a_held_segment_survives_the_first_call_of_another_process(world: World) {
    let (mut one, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    one.ok("posix write s 0 kept");
    assert_held(&world, &key);
    other.ok(&format!("posix attach s {key}"));
    assert_eq!(one.ok("posix detach s"), "outlives 1");
    assert_held(&world, &key);
    assert_eq!(other.ok("posix current s"), "true");
    assert_eq!(other.ok("posix read s 0 4"), "kept");
    assert_eq!(other.ok("posix detach s"), "destroyed");
    other.no(&format!("posix attach s {key}"), "NotFound");
    assert_freed_by_the_next_call(world);
}

fn a_read_only_attachment_counts_as_a_holder(world: World) {
    let (mut one, mut reader, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    reader.ok(&format!("posix attach-read-only s {key}"));
    one.kill();
    assert_held(&world, &key);
    assert_eq!(reader.ok("posix current s"), "true");
    assert_eq!(reader.ok("posix detach s"), "destroyed");
    assert_freed_by_the_next_call(world);
}

fn a_segment_that_a_child_of_a_fork_holds_is_not_destroyed(world: World) {
    let (mut one, key) = (world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    one.ok("posix child-keeps s");
    assert_eq!(one.ok("posix detach s"), "outlives 1");
    assert_held(&world, &key);
    one.ok("posix child-ends");
    assert_freed_by_the_next_call(world);
}

fn a_segment_that_another_user_holds_is_not_destroyed(mut world: World) {
    let (mut owner, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    owner.ok("user 1000");
    other.ok("user 65534");
    owner.ok(&format!("posix create s {key} 100 mode=666"));
    other.ok(&format!("posix attach s {key}"));
    assert_eq!(owner.ok("posix detach s"), "outlives 1");
    assert_eq!(owner.ok("posix sweep"), "0");
    assert!(owner.ok(&format!("posix info {key}")).ends_with("Held"));
    assert_eq!(other.ok("posix detach s"), "outlives 1");
    assert_eq!(owner.ok("posix sweep"), "1");
    owner.ok(&format!("posix create s {key} 100 mode=666"));
    other.ok(&format!("posix attach s {key}"));
    other.kill();
    assert_eq!(owner.ok("posix detach s"), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_segment_stays_until_all_its_holders_are_killed_and_a_sweep_frees_it(world: World) {
    let (mut one, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    other.ok(&format!("posix attach s {key}"));
    one.kill();
    assert_held(&world, &key);
    let mut witness = first_call(&world);
    other.kill();
    assert!(witness.ok(&format!("posix info {key}")).ends_with("Orphan"));
    assert_freed_by_the_next_call(world);
}

fn a_holder_that_waits_for_others_is_the_last(mut world: World) {
    let (mut one, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    other.ok(&format!("posix attach s {key}"));
    one.tell("posix let-go s 100000");
    assert_eq!(other.ok("posix detach s"), "outlives 1");
    assert_eq!(one.answer(), "ok destroyed");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_segment_that_is_left_in_a_signal_handler_goes(mut world: World) {
    let (mut one, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    other.ok(&format!("posix attach s {key}"));
    assert_eq!(one.ok("posix leave-in-signal s"), "outlives 1");
    assert_eq!(other.ok("posix leave-in-signal s"), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
}

fn a_segment_that_changed_its_size_stays_ours(world: World) {
    let (mut one, mut two, mut stranger) = (world.start(ACTOR), world.start(ACTOR), world.start(FOREIGN));
    for size in [0, 100, 100_000] {
        let (left, swept) = (key("posix"), key("posix"));
        one.ok(&format!("posix create s {left} 5000"));
        two.ok(&format!("posix create {size} {swept} 5000"));
        for key in [&left, &swept] {
            stranger.ok(&format!("resize {key} {size}"));
            assert!(two.ok(&format!("posix info {key}")).ends_with("Held"));
        }
        assert_eq!(one.ok("posix detach s"), "destroyed");
    }
    two.kill();
    assert_freed_by_the_next_call(world);
}

fn a_file_that_has_the_number_of_one_of_ours_stays_open(world: World) {
    let (mut one, key) = (world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    one.ok("close-all /tmp/file-of-its-own");
    one.ok("posix detach s");
    assert_eq!(one.ok("open-as /tmp/file-of-its-own"), "64");
    one.kill();
    assert_freed_by_the_next_call(world);
}

fn a_name_that_another_program_removed_can_be_created_again(world: World) {
    let (mut one, key) = (world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    fs::remove_file(world.folder().join(&key[1..])).unwrap();
    let mut next = world.start(ACTOR);
    next.ok(&format!("posix create s {key} 100"));
    assert_eq!(next.ok("entries"), "1");
    assert_eq!(one.ok("posix current s"), "false");
    assert_eq!(one.ok("posix detach s"), "gone");
    next.kill();
    assert_freed_by_the_next_call(world);
}

/// A stranger that maps an object, closes its descriptor and writes to it.
fn stranger(world: &World, how: &str, key: &str) -> Puppet {
    let mut stranger = world.start(FOREIGN);
    stranger.ok(&format!("{how} {key}"));
    stranger.ok("write 0 theirs");
    stranger
}

fn a_stranger_keeps_its_memory_and_the_name_goes(mut world: World) {
    let (mut one, key) = (world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    let mut stranger = stranger(&world, "map", &key);
    assert_eq!(one.ok("posix detach s"), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
    one.ok(&format!("posix create s {key} 4096"));
    one.ok("posix write s 0 others");
    assert_eq!(stranger.ok("read 0 6"), "theirs");
    assert_eq!(one.ok("posix detach s"), "destroyed");
}

fn a_stranger_that_keeps_its_descriptor_is_seen(world: World) {
    let (mut one, key) = (world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    let mut stranger = stranger(&world, "map-open", &key);
    assert_eq!(one.ok("posix detach s"), "outlives 1");
    assert_held(&world, &key);
    stranger.ok("unmap");
    assert_freed_by_the_next_call(world);
}

fn holders_of_a_segment_outside_the_ledger_are_unknown(world: World) {
    let (mut one, mut stranger, key) = (world.start(ACTOR), world.start(FOREIGN), key("posix"));
    stranger.ok(&format!("make {key} 5000"));
    assert_eq!(one.ok(&format!("posix destroy-unheld {key}")), "outlives 1");
    stranger.ok("unmap");
    assert_eq!(one.ok(&format!("posix destroy-unheld {key}")), "outlives 1", "it may be held as well");
    one.ok(&format!("posix destroy {key}"));
    assert_freed_by_the_next_call(world);
}

fn a_foreign_segment_with_the_inode_of_ours_stays(world: World) {
    let mut stranger = world.start(FOREIGN);
    let (key, ours) = (0..1000)
        .find_map(|_| {
            let (mut dead, key) = (world.start(ACTOR), key("posix"));
            let path = world.folder().join(&key[1..]);
            dead.ok(&format!("posix create s {key} 4096"));
            dead.kill();
            let ours = fs::metadata(&path).unwrap();
            fs::remove_file(&path).unwrap();
            stranger.ok(&format!("make {key} 4096"));
            stranger.ok("write 0 theirs");
            stranger.ok("unmap");
            let theirs = fs::metadata(&path).unwrap();
            // The clock of a file system ticks every few milliseconds.
            let told_apart = ours.ino() == theirs.ino() && born(&ours) != born(&theirs);
            told_apart.then_some((key, ours))
        })
        .expect("ext4 gives the lowest inode that is free");
    let mut next = first_call(&world);
    assert_eq!(next.ok("posix sweep"), "0");
    assert_eq!(next.ok("entries"), "0");
    assert!(next.ok(&format!("posix info {key}")).ends_with("Foreign"));
    next.ok(&format!("posix attach s {key}"));
    assert_eq!(next.ok("posix read s 0 6"), "theirs");
    assert_eq!(next.ok("posix detach s"), "outlives 1");
    assert_eq!(fs::metadata(world.folder().join(&key[1..])).unwrap().ino(), ours.ino());
}

fn born(file: &Metadata) -> std::time::SystemTime {
    file.created().expect("ext4 tells")
}

/// What the ledger has for one who knows no time of birth, as earlier versions of the library.
fn forget_births(world: &World) {
    change_entries(world, |slot| slot[320..336].fill(0));
}

/// Changes every slot of the ledger, while nobody has it mapped.
fn change_entries(world: &World, change: impl Fn(&mut [u8])) {
    let ledger = world.folder().join(".shm-node-0/ledger.1");
    let mut bytes = fs::read(&ledger).unwrap();
    bytes.chunks_exact_mut(512).skip(1).for_each(change);
    fs::write(&ledger, bytes).unwrap();
}

/// A bit that says where the marks of its holders are.
fn a_held_segment_survives_a_flipped_bit_in_its_entry(world: World) {
    let (mut one, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 4096"));
    let ledger = world.folder().join(".shm-node-0/ledger.1");
    let ledger = File::options().read(true).write(true).open(ledger).unwrap();
    let read = |place: u64| {
        let mut byte = [0];
        ledger.read_exact_at(&mut byte, place).unwrap();
        byte[0]
    };
    let slot = (1..128).map(|slot| slot * 512).find(|slot| read(*slot) != 0).expect("it has an entry");
    // The last one makes it an entry of another object, which is gone.
    let [mode, created, created_again, group, born] = [10..12, 40..48, 328..336, 336..344, 320..328];
    for place in mode.chain(created).chain(created_again).chain(group).chain(born).map(|place| slot + place) {
        for bit in 0..8 {
            let byte = read(place);
            ledger.write_all_at(&[byte ^ 1 << bit], place).unwrap();
            assert_eq!(other.ok("posix sweep"), "0", "byte {}, bit {bit}", place - slot);
            ledger.write_all_at(&[byte], place).unwrap();
        }
    }
    assert_eq!(one.ok("posix current s"), "true");
}

fn a_segment_that_was_given_another_mode_is_left_alone(world: World) {
    let (mut one, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key("posix"));
    other.ok("user 1000");
    one.ok(&format!("posix create s {key} 4096"));
    let give = |mode| {
        fs::set_permissions(world.folder().join(&key[1..]), fs::Permissions::from_mode(mode)).unwrap();
    };
    give(0o666);
    other.ok(&format!("posix attach s {key}"));
    assert_eq!(one.ok("posix detach s"), "outlives 1");
    assert_eq!(other.ok("posix current s"), "true");
    other.end();
    give(0o600);
    assert_freed_by_the_next_call(world);
}

fn an_orphan_is_freed_if_its_device_has_another_number_since_a_restart(world: World) {
    let (mut one, key) = (world.start(ACTOR), key("posix"));
    one.ok(&format!("posix create s {key} 100"));
    one.kill();
    change_entries(&world, |slot| slot[24] ^= 0x40);
    assert_freed_by_the_next_call(world);
}

#[test]
fn if_the_time_of_creation_is_not_known_the_size_identifies_an_object() {
    let Some(mut world) = world("16m") else { return };
    let (mut one, mut stranger) = (world.start(ACTOR), world.start(FOREIGN));
    let (same, other) = (key("posix"), key("posix"));
    one.ok(&format!("posix create s {same} 4096"));
    one.ok(&format!("posix create t {other} 4096"));
    one.kill();
    stranger.ok(&format!("resize {other} 5000"));
    forget_births(&world);
    let mut next = first_call(&world);
    assert_eq!(world.left().0, [&other[1..]]);
    assert!(next.ok(&format!("posix info {other}")).ends_with("Foreign"));
    assert_eq!(next.ok("entries"), "0");
}

/// A mount that cannot be asked for want of descriptors is not trusted, and asked again the next time.
#[test]
fn a_mount_is_checked_again_if_the_first_check_was_not_possible() {
    for (ground, kept) in [("tmpfs", 0), ("overlayfs", 1)] {
        let Some(world) = world_on(ground) else { return };
        let (mut one, key) = (world.start(ACTOR), key("posix"));
        let enough = (3..100).find(|limit| {
            one.ok(&format!("descriptors {limit}"));
            one.ask(&format!("posix create s {key} 4096")).starts_with("ok")
        });
        assert!(enough.is_some());
        one.ok("descriptors 100");
        let files = |puppet: &Puppet| fs::read_dir(format!("/proc/{}/fd", puppet.pid())).unwrap().count();
        let before = files(&one);
        one.ok(&format!("posix attach t {key}"));
        assert_eq!(files(&one), before + kept, "{ground}");
        assert_eq!(one.ok("posix detach s"), "outlives 1");
        assert_eq!(files(&one), before - 1 + kept, "{ground}: it held a mark");
        assert_eq!(one.ok("posix detach t"), "destroyed");
    }
}

#[test]
fn an_error_of_the_request_for_a_lease_destroys_nothing() {
    let Some(mut world) = world("16m") else { return };
    for errno in [libc::EINVAL, libc::EACCES, libc::ENOMEM, libc::EPERM] {
        let [mut holder, mut one, mut other] = [(); 3].map(|()| world.start(ACTOR));
        let key = key("posix");
        holder.ok(&format!("posix create s {key} 100"));
        // One that could not ask the mount, and one that trusts it.
        one.ok(&format!("refuse lease {errno}"));
        assert_eq!(one.ok("posix sweep"), "0");
        one.ok(&format!("posix attach s {key}"));
        other.ok(&format!("posix attach s {key}"));
        other.ok(&format!("refuse lease {errno}"));
        holder.kill();
        for last in [&mut one, &mut other] {
            assert_eq!(last.ok("posix detach s"), "outlives 1");
            assert_eq!(last.ok("posix sweep"), "0");
            assert!(last.ok(&format!("posix info {key}")).ends_with("Held"));
        }
        let message = one.ask(&format!("posix destroy-unheld {key}"));
        assert!(message.starts_with("no "), "{message}");
        assert_eq!(world.left().0, [&key[1..]]);
        first_call(&world).end();
        assert_eq!(world.left(), (vec![], 0));
    }
}
