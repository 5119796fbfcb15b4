//! The puppet's side: read a line, do it, answer in a line.

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{
        resource::{Resource, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use std::{fmt::Display, fs, io};

/// What a puppet answers: the rest of `ok …`, or of `no kind: message`.
pub type Answer = Result<String, String>;

/// Serves commands until the input ends. What `handle` does not know (`None`) is tried as one of the commands
/// about the process itself:
///
/// `unshare SIZE`, `join PID`, `user UID [GID]`, `umask OCTAL`, `descriptors N`, `sysctl NAME VALUE`, `sysv-table`.
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
        ["unshare", size] => enter_new_world(size).map(|()| String::new()).map_err(refused),
        ["join", pid] => join(pid).map(|()| String::new()).map_err(|error| refusal("io", error)),
        ["user", uid] => {
            become_user(uid.parse().ok()?, uid.parse().ok()?).map(|()| String::new()).map_err(refused)
        }
        ["user", uid, gid] => {
            become_user(uid.parse().ok()?, gid.parse().ok()?).map(|()| String::new()).map_err(refused)
        }
        ["umask", mask] => {
            umask(Mode::from_bits_truncate(u32::from_str_radix(mask, 8).ok()?));
            Ok(String::new())
        }
        ["descriptors", limit] => {
            let limit = limit.parse().ok()?;
            setrlimit(Resource::RLIMIT_NOFILE, limit, limit).map(|()| String::new()).map_err(refused)
        }
        ["sysctl", name, value] => fs::write(format!("/proc/sys/{name}"), value)
            .map(|()| String::new())
            .map_err(|error| refusal("io", error)),
        ["sysv-table"] => fs::read_to_string("/proc/sysvipc/shm")
            .map(|table| table.lines().skip(1).count().to_string())
            .map_err(|error| refusal("io", error)),
        _ => return None,
    })
}

fn refused(errno: nix::Error) -> String {
    refusal(format_args!("{errno:?}"), errno.desc())
}

/// Moves this process into mount and IPC namespaces of its own, with an empty `/dev/shm` of that size.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn enter_new_world(size: &str) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for folder in ["/dev/shm", "/tmp"] {
        let options = format!("size={size},mode=1777");
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
    }
    Ok(())
}

fn join(pid: &str) -> io::Result<()> {
    for (namespace, kind) in [("ipc", CloneFlags::CLONE_NEWIPC), ("mnt", CloneFlags::CLONE_NEWNS)] {
        setns(fs::File::open(format!("/proc/{pid}/ns/{namespace}"))?, kind)?;
    }
    Ok(())
}

/// Becomes another user for good, in that group and no other.
///
/// # Errors
///
/// `EPERM` without the right to.
pub fn become_user(uid: u32, gid: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}
