//! What a small system lacks: the rest works, and what does not says what to do.

use crate::cast::{ACTOR, FOREIGN, key, world};

#[test]
fn without_dev_shm_system_v_works_and_posix_says_what_to_do() {
    let Some(world) = world("16m") else { return };
    let (mut one, key) = (world.start(ACTOR), key("sysv"));
    one.ok("posix create u held 100");
    one.ok("cover /dev");
    one.ok(&format!("sysv create s {key} 100"));
    assert_eq!(one.ok("sysv list"), format!("{key}=Held"));
    assert_eq!(one.ok("posix list"), "");
    one.no("posix attach t name", "NotFound");
    one.no("posix info name", "NotFound");
    one.no("posix destroy name", "NotFound");
    assert_eq!(one.ok("posix sweep"), "0");
    one.no("posix attach t held", "NotFound");
    for name in ["name", "held"] {
        let message = one.no(&format!("posix create t {name} 100"), "ENOENT");
        assert!(message.contains("no /dev/shm") && message.contains("mount a tmpfs"), "{message}");
    }
    assert_eq!(one.ok("entries"), "2", "those that are held");
    assert_eq!(one.ok("sysv detach s"), "destroyed");
}

#[test]
fn without_proc_the_segments_of_both_backends_are_listed() {
    let Some(world) = world("16m") else { return };
    let (mut one, mut other, mut foreign) = (world.start(ACTOR), world.start(ACTOR), world.start(FOREIGN));
    other.ok("user 1000");
    foreign.ok("shmmake 4 100");
    one.ok("sysv create s 1 100");
    one.ok("sysv create t 2 100");
    other.ok("sysv create s 3 100");
    one.ok("posix create s name 100");
    one.ok("sysv destroy 2"); // it is held, and has no key any more
    one.ok("cover /proc");
    assert_eq!(one.ok("sysv list"), "1=Held 3=Foreign 4=Foreign");
    assert_eq!(one.ok("posix list"), "/name=Held");
    assert_eq!(other.ok("sysv list"), "1=Foreign 3=Held 4=Foreign", "modes do not hide them");
    foreign.ok("remove 4");
}
