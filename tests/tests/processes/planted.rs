//! What another user, or bad luck, puts in the place of the library's own files.

use crate::cast::{ACTOR, FOREIGN, attach, key, make, on_both_backends, world};
use shm_tests::{Puppet, World};
use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

on_both_backends! {
    a_folder_that_another_user_made_first_disturbs_nobody
    all_processes_of_a_user_find_the_same_other_folder
    a_folder_that_others_may_write_to_is_refused
    a_symlink_in_the_folders_place_is_not_followed
    a_file_or_fifo_in_the_folders_place_is_left_alone
    anything_else_in_the_place_of_a_file_is_refused_without_a_hang
    another_users_planted_lock_file_is_refused_without_a_hang
    a_folder_planted_for_a_user_without_one_does_not_hide_that_users_segments
    a_ledger_of_a_newer_version_is_left_alone
    a_ledger_with_a_damaged_header_is_left_alone
    a_ledger_of_random_bytes_is_survived_and_cleaned
    a_ledger_that_was_cut_short_is_survived
    an_entry_does_not_destroy_a_foreign_segment_of_its_key
}

/// A process of user 1000, and where its folder will be.
fn victim(world: &World) -> (Puppet, PathBuf) {
    let mut puppet = world.start(ACTOR);
    puppet.ok("user 1000");
    (puppet, world.folder().join(".shm-node-1000"))
}

fn folder_of(path: &Path, uid: u32, mode: u32) {
    fs::create_dir(path).unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    chown(path, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
}

#[track_caller]
fn assert_refused(victim: &mut Puppet, backend: &str) {
    let key = key(backend);
    for call in [format!("create s {key} 100"), format!("attach s {key}"), "sweep".into()] {
        let message = victim.no(&format!("{backend} {call}"), "EPERM");
        assert!(message.contains("remove it"), "{message}");
    }
}

fn a_folder_that_another_user_made_first_disturbs_nobody(backend: &str) {
    for (user, mode) in [0, 1000].into_iter().flat_map(|user| [0o777, 0o755, 0o711].map(|mode| (user, mode)))
    {
        let Some(mut world) = world("16m") else { return };
        let usual = world.folder().join(format!(".shm-node-{user}"));
        folder_of(&usual, 65534, mode);
        let (mut victim, mut other, key) = (world.start(ACTOR), world.start(ACTOR), key(backend));
        victim.ok(&format!("user {user}"));
        other.ok("user 65534");
        victim.ok(&format!("{backend} create s {key} 100 mode=666"));
        assert_eq!(fs::read_dir(&usual).unwrap().count(), 0, "nothing was put there");
        // Another user looks for the lock file where the victim has it.
        other.ok(&format!("{backend} attach s {key}"));
        victim.ok(&format!("lock {backend} {key}"));
        other.no(&format!("{backend} attach t {key}"), "EBUSY");
        victim.kill();
        other.kill();
        let mut next = world.start(ACTOR);
        next.ok(&format!("user {user}"));
        assert_eq!(next.ok(&format!("{backend} sweep")), "1", "it finds what is in the ledger");
        assert_eq!(world.left(), (vec![], 0));
    }
}

fn all_processes_of_a_user_find_the_same_other_folder(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut victim, usual) = victim(&world);
    let (mut next, key) = (world.start(ACTOR), key(backend));
    next.ok("user 1000");
    let second = world.folder().join(".shm-node-1000.1");
    folder_of(&usual, 65534, 0o755);
    folder_of(&second, 65534, 0o755);
    victim.ok(&format!("{backend} create s {key} 100"));
    // What was planted goes, and comes again.
    fs::remove_dir(&second).unwrap();
    fs::remove_dir(&usual).unwrap();
    assert_eq!(next.ok("entries"), "1");
    assert!(!usual.exists() && !second.exists());
    folder_of(&usual, 65534, 0o711);
    let mut last = world.start(ACTOR);
    last.ok("user 1000");
    assert_eq!(last.ok("entries"), "1");
}

fn a_folder_that_others_may_write_to_is_refused(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut victim, folder) = victim(&world);
    folder_of(&folder, 1000, 0o733);
    assert_refused(&mut victim, backend);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing was put there");
}

fn a_symlink_in_the_folders_place_is_not_followed(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut victim, folder) = victim(&world);
    let target = world.folder().join("target");
    folder_of(&target, 1000, 0o711);
    symlink("/dev/shm/target", &folder).unwrap();
    victim.ok(&format!("{backend} create s {} 100", key(backend)));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "nothing was put there");
    // The user's own is a mistake of that user's.
    let mut root = world.start(ACTOR);
    symlink("/dev/shm/target", world.folder().join(".shm-node-0")).unwrap();
    assert_refused(&mut root, backend);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "nothing was put there");
}

fn a_file_or_fifo_in_the_folders_place_is_left_alone(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut victim, folder) = victim(&world);
    File::create(&folder).unwrap();
    victim.ok(&format!("{backend} create s {} 100", key(backend)));
    assert_eq!(fs::read(&folder).unwrap(), b"");
    // The user's own is a mistake of that user's.
    let folder = world.folder().join(".shm-node-65534");
    let mut victim = world.start(ACTOR);
    victim.ok("user 65534");
    nix::unistd::mkfifo(&folder, nix::sys::stat::Mode::S_IRWXU).unwrap();
    chown(&folder, Some(65534), Some(65534)).unwrap();
    assert_refused(&mut victim, backend);
    fs::remove_file(&folder).unwrap();
    victim.ok(&format!("{backend} create s {} 100", key(backend)));
}

fn anything_else_in_the_place_of_a_file_is_refused_without_a_hang(backend: &str) {
    let Some(world) = world("16m") else { return };
    for file in ["lock", "lock.all", "live.all", "ledger.1"] {
        for planted in ["fifo", "symlink", "folder", "another user's file"] {
            let (mut victim, folder) = victim(&world);
            folder_of(&folder, 1000, 0o711);
            let (path, target) = (folder.join(file), world.folder().join("target"));
            match planted {
                "fifo" => fifo(&path),
                "symlink" => {
                    File::create(&target).unwrap().write_all(b"not ours").unwrap();
                    fs::set_permissions(&target, Permissions::from_mode(0o666)).unwrap();
                    symlink("/dev/shm/target", &path).unwrap();
                }
                "folder" => fs::create_dir(&path).unwrap(),
                _ => {
                    File::create(&path).unwrap();
                    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
                }
            }
            let message = victim.no(&format!("{backend} create s {} 100 mode=666", key(backend)), "EPERM");
            let path = format!("/dev/shm/.shm-node-1000/{file} ");
            assert!(message.contains(&path) && message.contains("remove it"), "{planted}: {message}");
            if planted == "symlink" {
                assert_eq!(fs::read(&target).unwrap(), b"not ours");
            }
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

fn another_users_planted_lock_file_is_refused_without_a_hang(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut owner, folder) = victim(&world);
    let (mut other, key) = (world.start(ACTOR), key(backend));
    other.ok("user 65534");
    owner.ok(&format!("{backend} create s {key} 100 mode=666"));
    let lock = folder.join("lock.all");
    fs::remove_file(&lock).unwrap();
    fifo(&lock);
    other.no(&format!("{backend} attach s {key}"), "EPERM");
    fs::remove_file(&lock).unwrap();
    symlink("/etc/passwd", &lock).unwrap();
    other.no(&format!("{backend} attach s {key}"), "EPERM");
    fs::remove_file(&lock).unwrap();
    // Without one there is nothing to lock, and nobody but its owner could destroy it.
    other.ok(&format!("{backend} attach s {key}"));
}

fn a_folder_planted_for_a_user_without_one_does_not_hide_that_users_segments(backend: &str) {
    let Some(world) = world("16m") else { return };
    let (mut stranger, mut other, key) = (world.start(FOREIGN), world.start(ACTOR), key(backend));
    stranger.ok("user 1000");
    stranger.ok(&format!("{} {key} 100", make(backend)));
    stranger.ok("write 0 theirs");
    folder_of(&world.folder().join(".shm-node-1000"), 65534, 0o777);
    // Root, who may read what that user made.
    other.ok(&format!("{backend} attach s {key}"));
    assert_eq!(other.ok(&format!("{backend} read s 0 6")), "theirs");
    assert_eq!(other.ok(&format!("{backend} detach s")), "outlives 1");
}

/// Has the victim's ledger made, and changes it while nobody has it mapped.
fn with_ledger(world: &World, backend: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let (mut victim, folder) = victim(world);
    victim.ok(&format!("{backend} create s {} 100", key(backend)));
    victim.end();
    let ledger = folder.join("ledger.1");
    let mut bytes = fs::read(&ledger).unwrap();
    assert_eq!(bytes.len(), 128 * 512);
    change(&mut bytes);
    fs::write(&ledger, bytes).unwrap();
    ledger
}

fn assert_left_alone(world: &mut World, backend: &str, ledger: &Path) {
    let (mut stranger, held) = (world.start(FOREIGN), key(backend));
    stranger.ok("user 1000");
    stranger.ok(&format!("{} {held} 100", make(backend)));
    let (before, mut victim) = (fs::read(ledger).unwrap(), victim(world).0);
    let message = victim.no(&format!("{backend} create s {} 100", key(backend)), "EOPNOTSUPP");
    assert!(message.contains("ledger.1") && message.contains("left alone"), "{message}");
    assert_eq!(victim.ok(&format!("{backend} sweep")), "0");
    assert!(victim.ok(&format!("{backend} list")).contains(&held));
    victim.ok(&format!("{backend} attach s {held}"));
    assert_eq!(victim.ok(&format!("{backend} detach s")), "outlives 1");
    assert!(victim.ok(&format!("{backend} info {held}")).ends_with("Foreign"));
    victim.ok(&format!("{backend} destroy {held}"));
    assert_eq!(fs::read(ledger).unwrap(), before);
    assert_eq!(world.left().0, Vec::<String>::new());
}

fn a_ledger_of_a_newer_version_is_left_alone(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let ledger = with_ledger(&world, backend, |bytes| {
        bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
        bytes[512..1024].fill(0xab);
    });
    assert_left_alone(&mut world, backend, &ledger);
}

fn a_ledger_with_a_damaged_header_is_left_alone(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let ledger = with_ledger(&world, backend, |bytes| bytes[..64].fill(0x5a));
    assert_left_alone(&mut world, backend, &ledger);
}

fn a_ledger_of_random_bytes_is_survived_and_cleaned(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut stranger, held) = (world.start(FOREIGN), key(backend));
    stranger.ok("user 1000");
    stranger.ok(&format!("{} {held} 100", make(backend)));
    for seed in 1..20 {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed);
        with_ledger(&world, backend, |bytes| {
            for word in bytes[512..].chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            // Some slots look whole.
            for slot in bytes[512..].chunks_exact_mut(512).step_by(2) {
                slot[0] = 2;
                slot[8] = 1 + slot[8] % 2;
            }
            // Levels that the file does not have.
            bytes[16..24].copy_from_slice(&(state % 20).to_le_bytes());
        });
        let (mut victim, key) = (victim(&world).0, key(backend));
        victim.ok(&format!("{backend} list"));
        victim.ok(&format!("{backend} sweep"));
        victim.ok(&format!("{backend} create s {key} 100"));
        assert!(victim.ok(&format!("{backend} info {key}")).ends_with("Held"));
        assert_eq!(victim.ok("entries"), "1", "seed {seed}");
        assert_eq!(victim.ok(&format!("{backend} detach s")), "destroyed");
        stranger.ok("write 0 alive");
        victim.ok(&format!("{backend} attach s {held}"));
        assert_eq!(victim.ok(&format!("{backend} read s 0 5")), "alive");
        victim.end();
        fs::remove_dir_all(world.folder().join(".shm-node-1000")).unwrap();
    }
    stranger.kill();
    victim(&world).0.ok(&format!("{backend} destroy {held}"));
    assert_eq!(world.left(), (vec![], 0));
}

fn a_ledger_that_was_cut_short_is_survived(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    for length in [0, 1, 100, 511, 512, 5000] {
        with_ledger(&world, backend, |bytes| bytes.truncate(length));
        let (mut victim, key) = (victim(&world).0, key(backend));
        if length < 24 && length > 0 {
            // Not even the header is whole.
            victim.no(&format!("{backend} create s {key} 100"), "EOPNOTSUPP");
        } else {
            victim.ok(&format!("{backend} create s {key} 100"));
            assert_eq!(victim.ok(&format!("{backend} detach s")), "destroyed");
        }
        victim.end();
        fs::remove_dir_all(world.folder().join(".shm-node-1000")).unwrap();
    }
    assert_eq!(world.left(), (vec![], 0));
}

/// The entry of an own segment, whose object is then replaced by a foreign one of the same key.
fn an_entry_does_not_destroy_a_foreign_segment_of_its_key(backend: &str) {
    let Some(mut world) = world("16m") else { return };
    let (mut victim, _) = victim(&world);
    let (mut stranger, key) = (world.start(FOREIGN), key(backend));
    stranger.ok("user 1000");
    victim.ok(&format!("{backend} create s {key} 100"));
    victim.kill();
    stranger.ok(&format!("{} {key}", if backend == "sysv" { "remove" } else { "unlink" }));
    stranger.ok(&format!("{} {key} 200", make(backend)));
    stranger.ok("unmap");
    let mut next = world.start(ACTOR);
    next.ok("user 1000");
    assert_eq!(next.ok(&format!("{backend} sweep")), "0");
    assert_eq!(next.ok("entries"), "0");
    stranger.ok(&format!("{} {key}", attach(backend)));
    next.ok(&format!("{backend} destroy {key}"));
    stranger.ok("unmap");
    assert_eq!(world.left(), (vec![], 0));
}
