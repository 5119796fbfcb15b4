//! A process that uses the library as it is told. Commands (a KEY of digits is an integer key, any other a
//! name; SLOT is what the actor calls an attachment):
//!
//! ```text
//! BACKEND create SLOT KEY SIZE [mode=OCTAL] [persist] [no-reserve]
//! BACKEND attach|attach-read-only SLOT KEY       BACKEND detach|leave-in-signal|size|current SLOT
//! BACKEND let-go SLOT [PATIENCE_MS]
//! BACKEND read SLOT OFFSET LENGTH                BACKEND write SLOT OFFSET TEXT
//! BACKEND destroy|destroy-unheld|info KEY        BACKEND list|sweep|fill SLOT
//! BACKEND child-drops SLOT                       BACKEND child-creates KEY
//! BACKEND child-keeps SLOT                       BACKEND child-ends
//! BACKEND children-of-threads KEY COUNT
//! BACKEND attach-often KEY COUNT                 BACKEND loop KEY
//! lock BACKEND KEY                               entries|new-ipc|files-of-a-child|leave-child
//! close-all PATH                                 open-as PATH
//! die-before-create BACKEND KEY                  die-after-create BACKEND KEY
//! ```

use nix::{
    fcntl::OFlag,
    sys::mman::shm_open,
    sys::signal::{Signal, kill, raise},
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork, pause},
};
use shm_api::{
    AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld, Detached,
    Key, LeaveAtEnd, List, Mode, OsError, Segment, Sweep,
};
use shm_lifetime::{Class, Entry, EntryName, Lifetime, LockWait, ObjectId};
use shm_posix::Posix;
use shm_sysv::SysV;
use shm_tests::stage::{Answer, die_with_parent, enter_new_ipc, posix_namespace, refusal, serve};
use std::{
    collections::HashMap,
    fs::{self, File},
    mem::ManuallyDrop,
    num::NonZeroUsize,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

struct Role<B: Backend> {
    backend: B,
    held: HashMap<String, B::Segment>,
    child: Option<Pid>,
}

impl<B: Backend<Segment: LeaveAtEnd> + List + Sweep + DestroyUnheld> Role<B> {
    fn new(backend: B) -> Self {
        Self { backend, held: HashMap::new(), child: None }
    }

    fn segment(&self, slot: &str) -> &B::Segment {
        self.held.get(slot).unwrap_or_else(|| panic!("nothing is held as {slot}"))
    }

    fn take(&mut self, slot: &str) -> B::Segment {
        self.held.remove(slot).unwrap_or_else(|| panic!("nothing is held as {slot}"))
    }

    fn hold(&mut self, slot: &str, segment: B::Segment) -> String {
        let size = segment.size().to_string();
        self.held.insert(slot.to_owned(), segment);
        size
    }

    fn play(&mut self, words: &[&str]) -> Option<Answer> {
        Some(match *words {
            ["create", slot, key, size, ref flags @ ..] => {
                match self.backend.create(&key_of(key), &options(size, flags)) {
                    Ok(segment) => Ok(self.hold(slot, segment)),
                    Err(error) => Err(not_created(&error)),
                }
            }
            ["attach", slot, key] => match self.backend.attach(&key_of(key)) {
                Ok(segment) => Ok(self.hold(slot, segment)),
                Err(error) => Err(not_attached(&error)),
            },
            ["detach", slot] => Ok(became(self.take(slot).detach())),
            ["let-go", slot] => Ok(became(self.take(slot).let_go_in_place(&|| false).0)),
            ["let-go", slot, patience] => {
                let until = Instant::now() + Duration::from_millis(number(patience) as u64);
                Ok(became(self.take(slot).let_go_in_place(&|| Instant::now() < until).0))
            }
            ["leave-in-signal", slot] => {
                let segment = ManuallyDrop::new(self.take(slot));
                // SAFETY: nothing uses it any more, and it is not dropped.
                Ok(became(unsafe { segment.leave_in_signal(Instant::now() + Duration::from_secs(1)) }))
            }
            ["size", slot] => Ok(self.segment(slot).size().to_string()),
            ["current", slot] => Ok(self.segment(slot).is_current().to_string()),
            ["read", slot, offset, length] => {
                let mut bytes = vec![0; number(length)];
                let count = self.segment(slot).read(number(offset), &mut bytes);
                Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
            }
            ["write", slot, offset, text] => {
                Ok(self.segment(slot).write(number(offset), text.as_bytes()).to_string())
            }
            ["fill", slot] => {
                let segment = self.segment(slot);
                Ok(segment.write(0, &vec![b'x'; segment.size().get()]).to_string())
            }
            ["destroy", key] => {
                self.backend.destroy(&key_of(key)).map(|()| String::new()).map_err(|e| not_destroyed(&e))
            }
            ["destroy-unheld", key] => {
                self.backend.destroy_unheld(&key_of(key)).map(became).map_err(|e| not_destroyed(&e))
            }
            ["info", key] => {
                self.backend.info(&key_of(key)).map_err(|error| not_attached(&error)).map(|info| {
                    let holders = info.holders.map_or("?".to_owned(), |holders| holders.to_string());
                    let (size, mode, uid, state) = (info.size, info.mode.bits(), info.uid, info.state);
                    format!("{size} {mode:03o} {uid} {holders} {state:?}")
                })
            }
            ["list"] => self.backend.list().map_err(|error| refused(&error)).map(|found| {
                found
                    .iter()
                    .map(|info| format!("{}={:?}", word_of(&info.key), info.state))
                    .collect::<Vec<_>>()
                    .join(" ")
            }),
            ["sweep"] => self.backend.sweep().map(|count| count.to_string()).map_err(|error| refused(&error)),
            // A child of a fork that drops what it inherited must take nothing from its parent.
            ["child-drops", slot] => {
                let segment = self.take(slot);
                let (answer, kept) = in_child(segment, |segment| became(segment.detach()));
                self.held.insert(slot.to_owned(), kept);
                Ok(answer)
            }
            // What it inherited is its own until it ends.
            ["child-keeps", _slot] => {
                // SAFETY: the child waits to be killed.
                self.child = Some(match unsafe { fork() }.expect("fork") {
                    ForkResult::Parent { child } => child,
                    ForkResult::Child => loop {
                        die_with_parent();
                        pause();
                    },
                });
                Ok(String::new())
            }
            ["child-ends"] => {
                let child = self.child.take().expect("there is one");
                kill(child, Signal::SIGKILL).expect("our child");
                waitpid(child, None).expect("our child");
                Ok(String::new())
            }
            ["child-creates", key] => {
                let backend = &self.backend;
                let made = in_child((), |()| match backend.create(&key_of(key), &options("4096", &[])) {
                    Ok(segment) => became(segment.detach()),
                    Err(error) => not_created(&error),
                });
                Ok(made.0)
            }
            // Other threads are in the middle of calls when it forks; tells how many children came through theirs.
            ["children-of-threads", key, count] => {
                let (backend, key, ended) = (&self.backend, key_of(key), AtomicBool::new(false));
                let done = thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| {
                            while !ended.load(Relaxed) {
                                backend.info(&key).expect("it is held");
                            }
                        });
                    }
                    let done = (0..number(count)).filter(|_| child_attaches(backend, &key)).count();
                    ended.store(true, Relaxed);
                    done
                });
                Ok(done.to_string())
            }
            ["attach-often", key, count] => {
                let mut attached = Vec::new();
                let failed = loop {
                    if attached.len() == number(count) {
                        break None;
                    }
                    match self.backend.attach(&key_of(key)) {
                        Ok(segment) => attached.push(segment),
                        Err(error) => break Some(not_attached(&error)),
                    }
                };
                drop(attached);
                failed.map_or_else(|| Ok(String::new()), Err)
            }
            // Makes and leaves one segment for ever, until it is killed.
            ["loop", key] => loop {
                let made = self.backend.create(&key_of(key), &options("65536", &[]));
                assert!(!matches!(made, Err(CreateError::InvalidKey(_))), "{made:?}");
            },
            _ => return None,
        })
    }
}

fn main() {
    let (mut sysv, mut posix) = (Role::new(SysV::new()), Role::new(Posix::new()));
    let mut locked = Vec::new();
    serve(|words| match *words {
        ["posix", "attach-read-only", slot, key] => Some(match Posix::new().attach_read_only(&key_of(key)) {
            Ok(segment) => Ok(posix.hold(slot, segment)),
            Err(error) => Err(not_attached(&error)),
        }),
        ["sysv", ref words @ ..] => sysv.play(words),
        ["posix", ref words @ ..] => posix.play(words),
        // What a process does that is stopped in the middle of a call.
        ["lock", backend, key] => {
            let lifetime = Box::leak(Box::new(Lifetime::current().expect("our folder")));
            let name = entry_name(backend, key);
            let class = lifetime.entry_of(&name).map_or(Class::Owner, |(_, entry)| entry.class());
            let file = lifetime.lock_file(class);
            locked.push(lifetime.lock(file, name.lock_byte(), LockWait::Bounded).expect("it is free"));
            Some(Ok(String::new()))
        }
        ["die-before-create", backend, key] => die_in_create(backend, key, || {}),
        ["die-after-create", backend, key] => die_in_create(backend, key, || make_raw(backend, key)),
        ["leave-child"] => Some(Ok(leave_child().to_string())),
        ["close-all", path] => Some(close_all(path)),
        ["open-as", path] => Some(Ok(open_as(path).to_string())),
        ["new-ipc"] => {
            enter_new_ipc().expect("root may");
            Some(Ok(String::new()))
        }
        ["files-of-a-child"] => {
            let listed = Command::new("ls").args(["-l", "/proc/self/fd/"]).output().expect("ls is there");
            Some(Ok(String::from_utf8_lossy(&listed.stdout).replace('\n', " ")))
        }
        ["entries"] => {
            let lifetime = Lifetime::current().expect("our folder");
            Some(Ok(lifetime.existing_ledger().map_or(0, |ledger| ledger.taken().count()).to_string()))
        }
        _ => None,
    });
}

/// Dies of SIGKILL after the entry is written, and before the segment's object is noted in it.
fn die_in_create(backend: &str, key: &str, make: impl FnOnce()) -> ! {
    let lifetime = Lifetime::current().expect("our folder");
    let options = options("4096", &[]);
    let namespace = match backend {
        "sysv" => lifetime.namespaces().ipc,
        _ => posix_namespace(&lifetime),
    };
    let entry = Entry::of_this_process(entry_name(backend, key), &lifetime, &options, namespace);
    let died = lifetime.enter(&entry, |_| -> Result<((), ObjectId), OsError> {
        make();
        raise(Signal::SIGKILL).expect("a valid signal");
        unreachable!("SIGKILL cannot be ignored");
    });
    unreachable!("{died:?}");
}

/// Makes what a create makes first.
fn make_raw(backend: &str, key: &str) {
    match entry_name(backend, key) {
        EntryName::Key(key) => {
            let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
            // SAFETY: shmget takes no pointers.
            assert!(unsafe { libc::shmget(key as i32, 4096, flags) } >= 0);
        }
        name @ EntryName::Name(_) => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
            shm_open(name.as_c_str(), flags, nix::sys::stat::Mode::S_IRUSR).expect("it is free");
        }
    }
}

fn entry_name(backend: &str, key: &str) -> EntryName {
    match (backend, key_of(key)) {
        ("sysv", Key::Id(id)) => EntryName::Key(id.get()),
        (_, Key::Id(id)) => EntryName::from_bare(&format!("shm-node-{id:08x}")).expect("a short name"),
        (_, Key::Name(name)) => EntryName::from_bare(name.bare()).expect("a Name has no NUL"),
    }
}

/// Whether a child of a fork attaches a segment, and ends; one that is stuck is killed.
fn child_attaches<B: Backend>(backend: &B, key: &Key) -> bool {
    // SAFETY: the child attaches, which is what is tried here, and ends.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            // On a busy machine the others may have the lock for longer than a call waits.
            let busy =
                |error: &AttachError| matches!(error, AttachError::Os(error) if error.errno() == libc::EBUSY);
            let attached = loop {
                match backend.attach(key) {
                    Err(error) if busy(&error) => {}
                    attached => break attached.is_ok(),
                }
            };
            // SAFETY: _exit is always allowed.
            unsafe { libc::_exit(i32::from(!attached)) }
        }
        ForkResult::Parent { child } => {
            let until = Instant::now() + Duration::from_secs(60);
            loop {
                match waitpid(child, Some(WaitPidFlag::WNOHANG)).expect("our child") {
                    WaitStatus::Exited(_, code) => return code == 0,
                    _ if Instant::now() < until => thread::sleep(Duration::from_micros(100)),
                    _ => _ = kill(child, Signal::SIGKILL),
                }
            }
        }
    }
}

/// A child of a fork that does nothing, until it is killed.
fn leave_child() -> i32 {
    // SAFETY: the child does nothing.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => loop {
            thread::sleep(Duration::from_secs(1));
        },
        ForkResult::Parent { child } => child.as_raw(),
    }
}

/// Closes every descriptor, as a daemon does that starts, and has a file of this program's own take their numbers.
fn close_all(path: &str) -> Answer {
    for fd in 3..1024 {
        // SAFETY: what this program has open it reaches by names.
        unsafe { libc::close(fd) };
    }
    for _ in 0..64 {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        std::mem::forget(file.map_err(|error| refusal("io", error))?);
    }
    Ok(String::new())
}

/// How many descriptors of this process lead to a path.
fn open_as(path: &str) -> usize {
    let all = fs::read_dir("/proc/self/fd").expect("our own");
    all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|link| link.as_os_str() == path)
        .count()
}

/// Runs `play` on `value` in a child of a fork; returns what it says, and the value as the parent still has it.
fn in_child<T>(value: T, play: impl FnOnce(T) -> String) -> (String, T) {
    let (mut read, write) = std::io::pipe().expect("a pipe");
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let written = std::io::Write::write_all(&mut { write }, play(value).as_bytes());
            // The parent's Rust state is not this child's to tear down.
            // SAFETY: _exit is always allowed.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        ForkResult::Parent { child } => {
            drop(write);
            let mut said = String::new();
            std::io::Read::read_to_string(&mut read, &mut said).expect("our pipe");
            let status = waitpid(child, None).expect("our child");
            assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
            (said, value)
        }
    }
}

fn key_of(key: &str) -> Key {
    match key.parse() {
        Ok(id) => Key::id(id).expect("not 0"),
        Err(_) => Key::name(key).expect("a valid name"),
    }
}

fn number(digits: &str) -> usize {
    digits.parse().unwrap_or_else(|error| panic!("{digits}: {error}"))
}

fn options(size: &str, flags: &[&str]) -> CreateOptions {
    let size = NonZeroUsize::new(number(size)).expect("not 0");
    flags.iter().fold(CreateOptions::new(size), |options, flag| match *flag {
        "persist" => options.persist(true),
        "no-reserve" => options.reserve(false),
        "huge" => options.huge_pages(true),
        flag => {
            let mode = flag.strip_prefix("mode=").and_then(|mode| u32::from_str_radix(mode, 8).ok());
            options.mode(mode.and_then(Mode::new).unwrap_or_else(|| panic!("unknown flag: {flag}")))
        }
    })
}

fn became(detached: Detached) -> String {
    match detached {
        Detached::Destroyed => "destroyed".into(),
        Detached::Gone => "gone".into(),
        Detached::Outlives(holders) => format!("outlives {holders}"),
    }
}

fn not_created(error: &CreateError) -> String {
    match error {
        CreateError::Exists { .. } => refusal("Exists", error),
        CreateError::Unreadable { .. } => refusal("Unreadable", error),
        CreateError::Os(os) => refused(os),
        other => refusal("InvalidKey", other),
    }
}

fn not_attached(error: &AttachError) -> String {
    match error {
        AttachError::NotFound { .. } => refusal("NotFound", error),
        AttachError::Os(os) => refused(os),
        other => refusal("InvalidKey", other),
    }
}

fn not_destroyed(error: &DestroyError) -> String {
    match error {
        DestroyError::NotFound { .. } => refusal("NotFound", error),
        DestroyError::Os(os) => refused(os),
        other => refusal("InvalidKey", other),
    }
}

fn refused(error: &OsError) -> String {
    refusal(format_args!("{:?}", nix::errno::Errno::from_raw(error.errno())), error)
}

fn word_of(key: &Key) -> String {
    match key {
        Key::Id(id) => id.to_string(),
        Key::Name(name) => name.to_string(),
    }
}
