//! Namespaces for one test.

use crate::Puppet;
use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

/// A `/dev/shm`, a `/tmp` and System V IPC of their own, as long as this lives. The machine's own are
/// untouched.
#[derive(Debug)]
pub struct World {
    keeper: Puppet,
}

impl World {
    /// A new world with a `/dev/shm` of this size (`16m`); `None` without the right to make one, after saying
    /// so. `keeper` is the path of any puppet program.
    ///
    /// # Panics
    ///
    /// Where the keeper cannot be started.
    pub fn new(keeper: &str, size: &str) -> Option<Self> {
        Self::on("tmpfs", keeper, size)
    }

    /// The same, its `/dev/shm` on that [`Ground`](crate::stage::Ground).
    ///
    /// # Panics
    ///
    /// Where root cannot mount it.
    pub fn on(ground: &str, keeper: &str, size: &str) -> Option<Self> {
        if !is_root() {
            skip("it needs namespaces of its own, and so root");
            return None;
        }
        let mut keeper = Puppet::start(keeper);
        let answer = keeper.ask(&format!("unshare {size} {ground}"));
        assert!(answer.starts_with("ok") || ground == "tmpfs", "/dev/shm on {ground}: {answer}");
        if !answer.starts_with("ok") {
            skip(&format!("namespaces of its own: {answer}"));
            return None;
        }
        Some(Self { keeper })
    }

    /// Starts a puppet in this world.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn start(&self, program: &str) -> Puppet {
        let mut puppet = Puppet::start(program);
        self.take(&mut puppet);
        puppet
    }

    /// Takes a puppet into this world.
    ///
    /// # Panics
    ///
    /// Where it is dead.
    pub fn take(&self, puppet: &mut Puppet) {
        puppet.ok(&format!("join {}", self.keeper.pid()));
    }

    /// Its `/dev/shm`, seen from outside.
    pub fn folder(&self) -> PathBuf {
        format!("/proc/{}/root/dev/shm", self.keeper.pid()).into()
    }

    /// What is in it: file names other than the library's own folders, and the number of System V segments.
    ///
    /// # Panics
    ///
    /// Where it cannot be listed.
    pub fn left(&mut self) -> (Vec<String>, usize) {
        let names = fs::read_dir(self.folder()).expect("the keeper lives").map(|entry| {
            entry.expect("a tmpfs can be read").file_name().into_string().expect("our names are UTF-8")
        });
        let mut names: Vec<_> = names.filter(|name| !name.starts_with(".shm-node-")).collect();
        names.sort();
        (names, self.keeper.ok("sysv-table").parse().expect("a number"))
    }

    /// Changes a System V limit of this world.
    ///
    /// # Panics
    ///
    /// Where that is not allowed.
    pub fn set(&mut self, name: &str, value: &str) {
        self.keeper.ok(&format!("sysctl {name} {value}"));
    }
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says why a test proves nothing here; past the test harness, which hides what passing tests print.
///
/// # Panics
///
/// With `SHM_TESTS_NO_SKIP=1`, where the reason is not in `tests/skips.txt`.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let _ = writeln!(io::stderr(), "skipped {}: {reason}", thread.name().unwrap_or("?"));
    let listed = include_str!("../skips.txt").lines().any(|line| line.split(" | ").next() == Some(reason));
    let allowed = listed || std::env::var("SHM_TESTS_NO_SKIP").as_deref() != Ok("1");
    assert!(allowed, "skipped, which tests/skips.txt does not allow: {reason}");
}
