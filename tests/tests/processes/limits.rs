//! The system's limits come back as errors that name them.

use crate::cast::{ACTOR, actor, key, on_both_backends, world};
use shm_tests::{Puppet, is_root, skip};
use std::{fs, path::Path};

on_both_backends! {
    too_many_mappings_are_an_error_that_names_the_limit
    without_descriptors_a_call_fails_and_names_the_limit
}

#[test]
fn too_many_system_v_segments_are_an_error_that_names_the_limit() {
    let Some(mut world) = world("16m") else { return };
    world.set("kernel/shmmni", "8");
    let mut one = world.start(ACTOR);
    for slot in 1..=8 {
        one.ok(&format!("sysv create {slot} {slot} 100"));
    }
    let message = one.no("sysv create 9 9 100", "ENOSPC");
    assert!(message.contains("8 segments (kernel.shmmni)"), "{message}");
    assert_eq!(one.ok("entries"), "8");
    one.ok("sysv detach 1");
    one.ok("sysv create 9 9 100");
    // Orphans give way before it is an error.
    let mut next = world.start(ACTOR);
    next.ok("sysv attach s 2");
    one.kill();
    next.ok("sysv create t 10 100");
    next.end();
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn all_4096_system_v_segments_fit_into_the_ledger() {
    let Some(mut world) = world("16m") else { return };
    world.set("kernel/shmmni", "4096");
    let mut one = world.start(ACTOR);
    for slot in 1..=4096 {
        one.ok(&format!("sysv create {slot} {slot} 1"));
    }
    let message = one.no("sysv create more 5000 1", "ENOSPC");
    assert!(message.contains("4096 segments (kernel.shmmni)"), "{message}");
    assert_eq!(one.ok("entries"), "4096");
    assert_eq!(one.ok("sysv list").matches("=Held").count(), 4096);
    one.kill();
    let mut next = world.start(ACTOR);
    assert_eq!(next.ok("sysv sweep"), "4096");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn a_too_large_system_v_segment_is_an_error_that_names_the_limit() {
    let Some(mut world) = world("16m") else { return };
    world.set("kernel/shmmax", "1000000");
    let message = world.start(ACTOR).no("sysv create s 1 1000001", "EINVAL");
    assert!(message.contains("1000000 (kernel.shmmax)"), "{message}");
    assert_eq!(world.left(), (vec![], 0));
}

#[test]
fn if_the_kernel_destroys_unheld_segments_none_persists_and_the_rest_works() {
    let Some(mut world) = world("16m") else { return };
    world.set("kernel/shm_rmid_forced", "1");
    let (mut one, mut other) = (world.start(ACTOR), world.start(ACTOR));
    let message = one.no("sysv create s 1 100 persist", "EOPNOTSUPP");
    assert!(message.contains("kernel.shm_rmid_forced is 1") && message.contains("POSIX"), "{message}");
    assert_eq!((one.ok("entries").as_str(), world.left().1), ("0", 0));
    one.ok("posix create s name 100 persist");
    one.ok("posix detach s");
    other.ok("posix destroy name");

    // It goes with its last holder, who is told that he was the last.
    for leave in ["detach", "let-go"] {
        one.ok("sysv create s 1 100");
        other.ok("sysv attach s 1");
        assert_eq!(one.ok(&format!("sysv {leave} s")), "outlives 1");
        assert_eq!(other.ok("sysv read s 0 1"), "\0");
        assert_eq!(other.ok(&format!("sysv {leave} s")), "destroyed");
        one.ok("sysv create s 2 100");
        other.ok("sysv destroy 2");
        assert_eq!(one.ok(&format!("sysv {leave} s")), "gone");
    }
    // The kernel frees at once what a killed process held; its entry goes with the next sweep.
    other.ok("sysv create s 3 100");
    other.kill();
    assert_eq!(world.left().1, 0);
    assert_eq!(one.ok("sysv sweep"), "0");
    assert_eq!(one.ok("entries"), "0");
}

fn too_many_mappings_are_an_error_that_names_the_limit(backend: &str) {
    let (mut one, key) = (actor(), key(backend));
    let limit: u32 = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if limit > 200_000 {
        return skip("vm.max_map_count is too large to be reached");
    }
    one.ok(&format!("{backend} create s {key} 100"));
    let message = one.no(&format!("{backend} attach-often {key} {}", limit + 1), "ENOMEM");
    assert!(message.contains("vm.max_map_count"), "{message}");
    // All of them are gone again, and the process goes on.
    one.ok(&format!("{backend} attach-often {key} 100"));
    assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
}

fn without_descriptors_a_call_fails_and_names_the_limit(backend: &str) {
    let (one, two) = (key(backend), key(backend));
    // Before the library has opened anything, and after.
    for opened in [false, true] {
        let mut actor = actor();
        if opened {
            actor.ok(&format!("{backend} create s {one} 100"));
        }
        actor.ok("descriptors 3");
        let create = actor.ask(&format!("{backend} create t {two} 100"));
        let attach = actor.ask(&format!("{backend} attach u {two}"));
        if opened && backend == "sysv" {
            assert_eq!((create.as_str(), attach.as_str()), ("ok 100", "ok 100"), "it needs no descriptor");
            assert_eq!(actor.ok("sysv detach t"), "outlives 1");
            assert_eq!(actor.ok("sysv detach u"), "destroyed");
            assert_eq!(actor.ok("sysv detach s"), "destroyed");
            continue;
        }
        assert!(create.starts_with("no EMFILE") && create.contains("ulimit -n"), "{create}");
        if opened {
            let attach = actor.no(&format!("{backend} attach u {one}"), "EMFILE");
            assert!(attach.contains("ulimit -n"), "{attach}");
            // The kernel cannot be asked without one, so it stays for a sweep.
            assert_eq!(actor.ok(&format!("{backend} detach s")), "outlives 1");
            actor.end();
            self::actor().no(&format!("{backend} attach s {one}"), "NotFound");
        } else {
            assert!(attach.starts_with("no EMFILE") && attach.contains("ulimit -n"), "{attach}");
        }
    }
}

#[test]
fn a_file_beyond_the_limit_of_the_process_is_an_error_and_not_a_signal() {
    let Some(mut world) = world("16m") else { return };
    let mut one = world.start(ACTOR);
    one.ok("file-size 1000");
    for create in ["sysv create s 1 100", "posix create s one 100"] {
        let message = one.no(create, "EFBIG"); // the ledger's
        assert!(message.contains("ulimit -f"), "{message}");
    }
    let mut two = world.start(ACTOR);
    two.ok("file-size 1000000");
    for how in ["", " no-reserve", " huge"] {
        let message = two.no(&format!("posix create s two 1000001{how}"), "EFBIG");
        assert!(message.contains("ulimit -f"), "{message}");
        two.ok(&format!("posix create s two 1000000{how}"));
        assert_eq!(two.ok("posix detach s"), "destroyed");
    }
    two.ok("sysv create s 1 1000001");
    assert_eq!(two.ok("sysv detach s"), "destroyed");
    assert_eq!(world.left(), (vec![], 0));
}

/// A memory cgroup of version 1, removed when it is dropped.
struct Group(String);

impl Group {
    fn new(limit: &str) -> Option<Self> {
        let made = is_root() && Path::new("/sys/fs/cgroup/memory/memory.stat").exists();
        if made { Self::at("/sys/fs/cgroup/memory", limit) } else { None }
    }

    /// One inside of this one.
    fn inner(&self, limit: &str) -> Option<Self> {
        Self::at(&self.0, limit)
    }

    fn at(parent: &str, limit: &str) -> Option<Self> {
        let path = format!("{parent}/shm-test-{}", crate::cast::key("sysv"));
        fs::create_dir(&path).ok()?;
        let group = Self(path);
        fs::write(format!("{}/memory.use_hierarchy", group.0), "1").ok();
        fs::write(format!("{}/memory.limit_in_bytes", group.0), limit).ok()?;
        Some(group)
    }

    fn add(&self, puppet: &Puppet) {
        fs::write(format!("{}/cgroup.procs", self.0), puppet.pid().to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_reservation_beyond_the_memory_cgroup_is_an_error_and_not_a_kill() {
    let Some(group) = Group::new("64M") else {
        return skip("no memory cgroup of version 1 can be made");
    };
    for backend in ["sysv", "posix"] {
        let (mut one, key) = (actor(), key(backend));
        group.add(&one);
        let message = one.no(&format!("{backend} create s {key} {}", 128 << 20), "ENOMEM");
        assert!(message.contains("memory cgroup"), "{message}");
        one.no(&format!("{backend} info {key}"), "NotFound");
        one.ok(&format!("{backend} create s {key} {}", 16 << 20));
        assert_eq!(one.ok(&format!("{backend} fill s")), (16 << 20).to_string());
        assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
        for huge in ["", " huge"] {
            one.no(&format!("{backend} create s {key} {}{huge}", 128 << 20), "ENOMEM");
            one.ok(&format!("{backend} create s {key} {} no-reserve{huge}", 128 << 20));
            assert_eq!(one.ok(&format!("{backend} detach s")), "destroyed");
        }
        one.end();
    }
}

#[test]
fn of_nested_memory_cgroups_the_smaller_limit_counts() {
    let none = || skip("no memory cgroup of version 1 can be made");
    for (outer, inner) in [("64M", "1G"), ("1G", "64M")] {
        let Some(outer) = Group::new(outer) else { return none() };
        let Some(inner) = outer.inner(inner) else { return none() };
        for backend in ["sysv", "posix"] {
            let (mut one, key) = (actor(), key(backend));
            inner.add(&one);
            one.no(&format!("{backend} create s {key} {}", 128 << 20), "ENOMEM");
            one.ok(&format!("{backend} create s {key} {}", 16 << 20));
            one.ok(&format!("{backend} detach s"));
            one.end();
        }
    }
}
