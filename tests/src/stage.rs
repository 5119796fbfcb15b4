//! The puppet's side: read a line, do it, answer in a line.

use nix::sys::{
    resource::{Resource, getrlimit, rlim_t, setrlimit},
    stat::{Mode, umask},
};
use std::{fmt::Display, fs, io, str::FromStr};

cfg_if::cfg_if! {
    if #[cfg(target_os = "linux")] {
        mod ground;
        mod linux;
        use linux::{cover, enter_new_mounts, join, refuse};
        pub use linux::{become_user, die_with_parent, enter_new_ipc, enter_new_world, posix_namespace};
    } else {
        mod macos;
        use macos::{cover, enter_new_mounts, join, refuse};
        pub use macos::{become_user, die_with_parent, enter_new_ipc, enter_new_world, posix_namespace};
    }
}

/// What `/dev/shm` lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// As everywhere.
    Tmpfs,
    /// As in a container without a mount of its own: a lease is granted although others have the file mapped.
    Overlayfs,
    /// Its layers on two file systems, so that files have another device than their folder.
    OverlayfsOfTwo,
    /// It gives the inode of a file that is gone to the next one.
    Ext4,
}

impl FromStr for Ground {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "tmpfs" => Ok(Self::Tmpfs),
            "overlayfs" => Ok(Self::Overlayfs),
            "overlayfs-of-two" => Ok(Self::OverlayfsOfTwo),
            "ext4" => Ok(Self::Ext4),
            _ => Err(format!("no ground is called {name}")),
        }
    }
}

/// What a puppet answers: the rest of `ok …`, or of `no kind: message`.
pub type Answer = Result<String, String>;

/// Serves commands until the input ends. What `handle` does not know (`None`) is tried as one of the commands
/// about the process itself:
///
/// `unshare SIZE [GROUND]`, `new-mounts`, `join PID`, `cover FOLDER`, `user UID [GID]`, `umask OCTAL`, `descriptors N`,
/// `file-size BYTES`, `refuse CALL ERRNO`, `sysctl NAME VALUE`, `sysv-table`.
///
/// # Panics
///
/// On a command that nobody knows: that is a mistake in the test.
pub fn serve(mut handle: impl FnMut(&[&str]) -> Option<Answer>) {
    for line in io::stdin().lines() {
        let Ok(line) = line else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let answer =
            handle(&words).or_else(|| process(&words)).unwrap_or_else(|| panic!("unknown command: {line}"));
        match answer {
            Ok(answer) => println!("ok {answer}"),
            Err(answer) => println!("no {answer}"),
        }
    }
}

/// An error as an answer: its kind, then its message.
pub fn refusal(kind: impl Display, message: impl Display) -> String {
    format!("{kind}: {message}").replace('\n', " ")
}

fn process(words: &[&str]) -> Option<Answer> {
    Some(match *words {
        ["unshare", size] => enter(size, Ground::Tmpfs),
        ["unshare", size, ground] => enter(size, ground.parse().ok()?),
        ["new-mounts"] => enter_new_mounts().map(|()| String::new()).map_err(refused),
        ["cover", folder] => cover(folder).map(|()| String::new()).map_err(refused),
        ["join", pid] => join(pid).map(|()| String::new()).map_err(|error| refusal("io", error)),
        ["user", uid] => {
            become_user(uid.parse().ok()?, uid.parse().ok()?).map(|()| String::new()).map_err(refused)
        }
        ["user", uid, gid] => {
            become_user(uid.parse().ok()?, gid.parse().ok()?).map(|()| String::new()).map_err(refused)
        }
        ["umask", mask] => {
            umask(Mode::from_bits_truncate(libc::mode_t::from_str_radix(mask, 8).ok()?));
            Ok(String::new())
        }
        ["descriptors", limit] => set_limit(Resource::RLIMIT_NOFILE, limit.parse().ok()?),
        ["file-size", limit] => set_limit(Resource::RLIMIT_FSIZE, limit.parse().ok()?),
        ["refuse", call, errno] => refuse(call, errno.parse().ok()?).map(|()| String::new()).map_err(refused),
        ["sysctl", name, value] => fs::write(format!("/proc/sys/{name}"), value)
            .map(|()| String::new())
            .map_err(|error| refusal("io", error)),
        ["sysv-table"] => fs::read_to_string("/proc/sysvipc/shm")
            .map(|table| table.lines().skip(1).count().to_string())
            .map_err(|error| refusal("io", error)),
        _ => return None,
    })
}

fn enter(size: &str, ground: Ground) -> Answer {
    enter_new_world(size, ground).map(|()| String::new()).map_err(|error| refusal("io", error))
}

fn set_limit(resource: Resource, limit: rlim_t) -> Answer {
    let set = getrlimit(resource).and_then(|(_, most)| setrlimit(resource, limit, most));
    set.map(|()| String::new()).map_err(refused)
}

fn refused(errno: nix::Error) -> String {
    refusal(format_args!("{errno:?}"), errno.desc())
}
