//! POSIX objects that nobody sane would make.

use crate::cast::{ACTOR, world};
use nix::sys::stat::{Mode, SFlag};
use shm_tests::{Puppet, World};
use std::{
    fs::{self, File},
    os::unix::{fs::symlink, net::UnixListener},
};

fn scene() -> Option<(World, Puppet)> {
    let world = world("16m")?;
    let actor = world.start(ACTOR);
    Some((world, actor))
}

#[test]
fn an_object_without_a_size_is_an_error_that_says_to_try_again() {
    let Some((world, mut actor)) = scene() else { return };
    let file = File::create(world.folder().join("empty")).unwrap();
    for call in ["attach s", "attach-read-only s"] {
        let message = actor.no(&format!("posix {call} empty"), "EAGAIN");
        assert!(message.contains("try again"), "{message}");
    }
    assert!(actor.ok("posix info empty").starts_with("0 "));
    file.set_len(10).unwrap();
    assert_eq!(actor.ok("posix attach s empty"), "10");
}

#[test]
fn a_file_that_is_not_regular_is_not_a_segment_and_stays() {
    let Some((world, mut actor)) = scene() else { return };
    let folder = world.folder();
    nix::unistd::mkfifo(&folder.join("fifo"), Mode::S_IRWXU).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    fs::write(folder.join("target"), b"target").unwrap();
    symlink("target", folder.join("link")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    UnixListener::bind(folder.join("socket")).unwrap();
    let device = nix::sys::stat::makedev(1, 3); // that of /dev/null
    nix::sys::stat::mknod(&folder.join("device"), SFlag::S_IFCHR, Mode::S_IRWXU, device).unwrap();
    let planted = ["fifo", "folder", "link", "dangling", "socket", "device"];
    for name in planted {
        for call in ["attach s", "attach-read-only s"] {
            let message = actor.no(&format!("posix {call} {name}"), "EPERM");
            assert!(message.contains("not a shared memory object"), "{name}: {message}");
        }
        actor.no(&format!("posix create s {name} 100"), "Exists");
        for call in ["info", "destroy", "destroy-unheld"] {
            actor.no(&format!("posix {call} {name}"), "NotFound");
        }
    }
    assert_eq!(actor.ok("posix list"), "/target=Foreign");
    assert_eq!(actor.ok("posix sweep"), "0");
    for name in planted {
        assert!(folder.join(name).symlink_metadata().is_ok(), "{name} stays");
    }
    assert_eq!(fs::read(folder.join("target")).unwrap(), b"target");
}

#[test]
fn an_object_that_replaces_ours_is_not_touched() {
    let Some((world, mut actor)) = scene() else { return };
    actor.ok("posix create s name 100");
    fs::remove_file(world.folder().join("name")).unwrap();
    fs::create_dir(world.folder().join("name")).unwrap();
    assert_eq!(actor.ok("posix current s"), "false");
    assert_eq!(actor.ok("posix detach s"), "gone");
    assert_eq!(actor.ok("posix sweep"), "0");
    assert_eq!(actor.ok("entries"), "0");
    assert!(world.folder().join("name").is_dir());
}

#[test]
fn an_object_of_any_size_is_attached_as_a_whole_or_refused() {
    let Some((world, mut actor)) = scene() else { return };
    let file = File::create(world.folder().join("huge")).unwrap();
    for (size, fits) in [(1, true), (4095, true), (1 << 40, true), (1 << 50, false), (i64::MAX as u64, false)]
    {
        file.set_len(size).unwrap();
        if fits {
            assert_eq!(actor.ok("posix attach s huge"), size.to_string());
            assert_eq!(actor.ok(&format!("posix read s {} 10", size - 1)), "\0");
            assert_eq!(actor.ok(&format!("posix read s {size} 10")), "");
            assert_eq!(actor.ok("posix detach s"), "outlives 1");
        } else {
            let answer = actor.ask("posix attach s huge");
            assert!(answer.starts_with("no ENOMEM") || answer.starts_with("no EOVERFLOW"), "{answer}");
        }
    }
}
