//! Who plays in the tests, and under which names.

use shm_tests::{Puppet, World, fresh_id, fresh_name};

/// The program that uses the library.
pub(crate) const ACTOR: &str = env!("CARGO_BIN_EXE_actor");
/// The program that knows nothing of it.
pub(crate) const FOREIGN: &str = env!("CARGO_BIN_EXE_foreign");

/// The program that touches what is cut off from its memory.
pub(crate) const SURVIVOR: &str = env!("CARGO_BIN_EXE_survivor");

/// A process that uses the library.
pub(crate) fn actor() -> Puppet {
    Puppet::start(ACTOR)
}

/// A process that knows nothing of it.
pub(crate) fn foreign() -> Puppet {
    Puppet::start(FOREIGN)
}

/// A world of its own with that much `/dev/shm`; `None`, after saying so, where that takes more rights.
pub(crate) fn world(size: &str) -> Option<World> {
    World::new(ACTOR, size)
}

/// The same, its `/dev/shm` on that ground.
pub(crate) fn world_on(ground: &str) -> Option<World> {
    World::on(ground, ACTOR, "16m")
}

/// A fresh key as this backend has them: integers on System V, names on POSIX.
pub(crate) fn key(backend: &str) -> String {
    if backend == "sysv" { fresh_id().to_string() } else { fresh_name() }
}

/// How `foreign` attaches on this backend.
pub(crate) fn attach(backend: &str) -> &'static str {
    if backend == "sysv" { "shmat" } else { "map" }
}

/// How `foreign` makes a segment on this backend.
pub(crate) fn make(backend: &str) -> &'static str {
    if backend == "sysv" { "shmmake" } else { "make" }
}

/// Makes tests of functions that take a backend's name.
macro_rules! on_both_backends {
    ($($name:ident)+) => {
        mod sysv {
            $(#[test] fn $name() { super::$name("sysv"); })+
        }
        mod posix {
            $(#[test] fn $name() { super::$name("posix"); })+
        }
    };
}
pub(crate) use on_both_backends;
