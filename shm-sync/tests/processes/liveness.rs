//! Whose lock it is when descriptors are missing, when the live file is another one, and in a storm of all that.

use crate::shared::{GENEROUS, Shared};
use shm_api::Access;
use shm_sync::{Mutex, Region, SyncError};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(50);

// Words of the test.
const HELD: usize = 0;
const TOLD: usize = 1;
const INSIDE: usize = 2;
const ROUNDS: usize = 3;
const TWO_INSIDE: usize = 4;

/// What a process found that came to a structure.
const REFUSED: u32 = 1;
const TAKEN: u32 = 2;
const BUSY: u32 = 3;
const NOT_ALLOWED: u32 = 4;

/// A folder for a live file, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Self(format!("/dev/shm/.shm-sync-live-{}-{count}", std::process::id()).into());
        fs::create_dir(&folder.0).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// As a login manager does when its user logs out; and the user comes back.
    fn remove_and_make_anew(&self) {
        fs::remove_dir_all(&self.0).unwrap();
        fs::create_dir(&self.0).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A System V segment, gone with the test.
struct Segment(i32);

impl Segment {
    fn new() -> Self {
        // SAFETY: it takes no pointers.
        let id = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600) };
        assert!(id >= 0);
        Self(id)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID ignores the pointer.
        unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// The memory of a segment, attached until the process ends.
fn attach(id: u64) -> Region<'static> {
    // SAFETY: the kernel chooses where.
    let start = unsafe { libc::shmat(id as i32, std::ptr::null(), 0) };
    assert!(start.addr() != usize::MAX);
    // SAFETY: it stays attached, and is reached through the region alone.
    unsafe { Region::from_raw(NonNull::new(start.cast()).unwrap(), 4096, Access::ReadWrite) }
}

/// Uses up all descriptors; gives those that it took.
fn fill_the_table() -> Vec<File> {
    limit_descriptors();
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn limit_descriptors() {
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: it reads the structure.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

/// Closes all, as a daemon does that starts, and has other files take the numbers.
fn close_all() {
    // SAFETY: this process reaches by mappings what it needs.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    for _ in 0..40 {
        std::mem::forget(tempfile());
    }
}

fn tempfile() -> File {
    File::options().read(true).write(true).custom_flags(libc::O_TMPFILE).open("/dev/shm").unwrap()
}

fn open(shared: &Shared) -> Mutex<'_> {
    Mutex::open(shared.region(), 0, shared.live()).unwrap()
}

pub(crate) fn fork_with_a_full_table(shared: &Shared) {
    let mutex = open(shared);
    let ours = shared.live().this_thread().unwrap();
    let guard = mutex.lock().unwrap();
    let files = fill_the_table();
    crate::forks::join(crate::forks::fork(|| {
        let takes = || matches!(mutex.lock_timeout(SHORT), Ok(Some(_)));
        assert!(shared.live().is_alive(ours) && !takes(), "the parent holds it");
        drop(files);
        assert!(shared.live().is_alive(ours) && !takes(), "the parent holds it");
    }));
    drop(guard);
    assert!(!mutex.lock().unwrap().owner_died());
}

pub(crate) fn close_all_and_stay(shared: &Shared) {
    let mutex = open(shared);
    let _guard = mutex.lock().unwrap();
    close_all();
    shared.word(HELD).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

pub(crate) fn close_all_and_try(shared: &Shared) {
    shared.live().this_thread().unwrap();
    close_all();
    try_to_take(shared, shared.region());
}

pub(crate) fn close_all_and_use(shared: &Shared) {
    drop(open(shared).lock().unwrap());
    close_all();
    // A new thread needs an id.
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(open(shared).lock().unwrap())).join().unwrap()
    });
    shared.word(HELD).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

/// Where neither /proc nor the path of the live file leads anywhere.
pub(crate) fn go_on_in_a_chroot(shared: &Shared) {
    let mutex_at = |offset| Mutex::open(shared.region(), offset, shared.live()).unwrap();
    let (held, free) = (mutex_at(0), mutex_at(16));
    let guard = held.lock().unwrap();
    if std::os::unix::fs::chroot("/dev/shm").is_err() {
        shared.word(TOLD).store(NOT_ALLOWED, Ordering::SeqCst);
        return;
    }
    std::thread::scope(|scope| scope.spawn(|| drop(free.lock().unwrap())).join().unwrap());
    crate::forks::join(crate::forks::fork(|| {
        assert!(held.lock_timeout(SHORT).unwrap().is_none(), "the parent holds it");
        drop(free.lock().unwrap());
    }));
    drop(guard);
}

pub(crate) fn hold_in_segment(shared: &Shared, id: u64) {
    let mutex = Mutex::open(attach(id), 0, shared.live()).unwrap();
    let _guard = mutex.lock().unwrap();
    shared.word(HELD).store(1, Ordering::SeqCst);
    std::thread::sleep(4 * GENEROUS);
}

pub(crate) fn try_in_segment(shared: &Shared, id: u64) {
    try_to_take(shared, attach(id));
}

pub(crate) fn try_in_memory(shared: &Shared) {
    try_to_take(shared, shared.region());
}

fn try_to_take(shared: &Shared, region: Region<'_>) {
    let found = match Mutex::open(region, 0, shared.live()) {
        Err(SyncError::OtherLiveFile { .. }) => REFUSED,
        opened => match opened.unwrap().lock_timeout(SHORT) {
            Ok(Some(_)) => TAKEN,
            // An error where nobody can be asked.
            Ok(None) | Err(_) => BUSY,
        },
    };
    shared.word(TOLD).store(found, Ordering::SeqCst);
}

/// What a process of this role finds.
fn found(shared: &Shared, role: &str, argument: u64) -> u32 {
    assert!(shared.spawn(role, argument).join().success());
    shared.word(TOLD).swap(0, Ordering::SeqCst)
}

#[test]
fn a_child_that_could_not_open_anything_treats_nobody_as_dead() {
    let folder = Folder::new();
    for shared in [Shared::in_folder(64, folder.path()), Shared::new(64)] {
        assert!(shared.spawn("fork with a full table", 0).join().success());
    }
}

#[test]
fn a_holder_whose_descriptors_were_closed_keeps_its_lock() {
    let folder = Folder::new();
    for shared in [Shared::in_folder(64, folder.path()), Shared::new(64)] {
        let holder = shared.spawn("close all and stay", 0);
        shared.until(HELD, |held| held == 1);
        let mutex = open(&shared);
        assert!(mutex.lock_timeout(SHORT).unwrap().is_none());
        holder.kill();
        assert!(mutex.lock_timeout(GENEROUS).unwrap().unwrap().owner_died());
    }
}

#[test]
fn a_process_whose_descriptors_were_closed_treats_nobody_as_dead() {
    let folder = Folder::new();
    for shared in [Shared::in_folder(64, folder.path()), Shared::new(64)] {
        let _holder = shared.spawn("hold", 0);
        shared.until(HELD, |held| held == 1);
        assert_eq!(found(&shared, "close all and try", 0), BUSY);
    }
}

#[test]
fn a_process_whose_descriptors_were_closed_is_alive_with_new_ids_too() {
    let folder = Folder::new();
    let shared = Shared::in_folder(64, folder.path());
    let user = shared.spawn("close all and use", 0);
    shared.until(HELD, |held| held == 1);
    assert!(open(&shared).lock_timeout(SHORT).unwrap().is_none());
    user.kill();
    assert!(open(&shared).lock_timeout(GENEROUS).unwrap().unwrap().owner_died());
}

#[test]
fn coordination_works_in_a_chroot_without_proc() {
    let folder = Folder::new();
    let shared = Shared::in_folder(64, folder.path());
    assert!(shared.spawn("go on in a chroot", 0).join().success());
    if shared.word(TOLD).load(Ordering::SeqCst) == NOT_ALLOWED {
        // Past the test harness, which hides what passing tests print.
        let _ = writeln!(io::stderr(), "skipped coordination_works_in_a_chroot_without_proc: it needs root");
    }
}

#[test]
fn a_copy_of_the_live_file_is_refused() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let shared = Shared::in_folder(64, folder.path());
    let _holder = shared.spawn("hold", 0);
    shared.until(HELD, |held| held == 1);
    fs::copy(folder.path().join("live"), copy.path().join("live")).unwrap();
    assert_eq!(found(&shared.with_live_in(copy.path()), "try in memory", 0), REFUSED);
    assert_eq!(found(&shared, "try in memory", 0), BUSY);
}

#[test]
fn a_segment_without_its_live_file_is_refused_while_another_process_has_it_and_then_taken_over() {
    let (folder, segment) = (Folder::new(), Segment::new());
    let shared = Shared::in_folder(64, folder.path());
    let holder = shared.spawn("hold in segment", segment.0 as u64);
    shared.until(HELD, |held| held == 1);
    folder.remove_and_make_anew();
    assert_eq!(found(&shared, "try in segment", segment.0 as u64), REFUSED);
    holder.kill();
    for _ in 0..2 {
        assert_eq!(found(&shared, "try in segment", segment.0 as u64), TAKEN);
    }
    shared.word(HELD).store(0, Ordering::SeqCst);
    let _holder = shared.spawn("hold in segment", segment.0 as u64);
    shared.until(HELD, |held| held == 1);
    assert_eq!(found(&shared, "try in segment", segment.0 as u64), BUSY);
}

#[test]
fn memory_of_another_kind_is_not_taken_over() {
    let folder = Folder::new();
    let shared = Shared::in_folder(64, folder.path());
    assert_eq!(found(&shared, "try in memory", 0), TAKEN);
    folder.remove_and_make_anew();
    assert_eq!(found(&shared, "try in memory", 0), REFUSED, "others may have it, and nobody can tell");
}

/// Who is inside is alone there, whatever happens to those who hold and wait.
struct Worker<'a> {
    shared: &'a Shared,
    mutex: Mutex<'a>,
    random: u64,
}

impl Worker<'_> {
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn round(&mut self, forks: bool) {
        // An error where ids cannot be drawn; it may be better next time.
        let Ok(Some(guard)) = self.mutex.lock_timeout(SHORT) else { return };
        let (us, shared) = (std::process::id(), self.shared);
        let before = shared.word(INSIDE).swap(us, Ordering::SeqCst);
        let is_alone = before == 0 || guard.owner_died();
        if forks && self.random(50) == 0 {
            self.event();
        }
        for _ in 0..self.random(300) {
            std::hint::spin_loop();
        }
        let is_alone = is_alone && shared.word(INSIDE).load(Ordering::SeqCst) == us;
        shared.word(TWO_INSIDE).fetch_add(u32::from(!is_alone), Ordering::SeqCst);
        shared.word(ROUNDS).fetch_add(1, Ordering::SeqCst);
        shared.word(INSIDE).store(0, Ordering::SeqCst);
        drop(guard);
    }

    /// Something that befalls a process, while it holds the lock or not.
    fn event(&mut self) {
        match self.random(4) {
            0 => close_all(),
            1 => {
                let files = fill_the_table();
                self.fork(files);
            }
            _ => self.fork(Vec::new()),
        }
    }

    fn fork(&mut self, files: Vec<File>) {
        let seed = self.random(u64::MAX);
        // SAFETY: this process has, but for the test harness that waits, one thread.
        if unsafe { libc::fork() } == 0 {
            self.random = seed | 1;
            let mut files = Some(files);
            for round in 0..10 {
                self.round(false);
                if round == 5 {
                    files = None;
                }
            }
            drop(files);
            // SAFETY: it only ends the process.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: it takes no pointer that is not null. Others are waited for later, or by init.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    }
}

pub(crate) fn befall(shared: &Shared, id: u64) {
    let mutex = match Mutex::open(attach(id), 0, shared.live()) {
        // The folder was removed, and somebody of before is in.
        Err(SyncError::OtherLiveFile { .. }) => return,
        opened => opened.unwrap(),
    };
    limit_descriptors();
    let random = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut worker = Worker { shared, mutex, random };
    loop {
        worker.round(true);
        if worker.random(40) == 0 {
            worker.event();
        }
    }
}

/// Kills processes of this role, and removes the folder under them.
pub(crate) fn storm(role: &str, kills: u32) {
    let (folder, segment) = (Folder::new(), Segment::new());
    let shared = Shared::in_folder(64, folder.path());
    let spawn = || Some(shared.spawn(role, segment.0 as u64));
    let mut workers = [spawn(), spawn(), spawn()];
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(u64::from(kill * 7 % 20)));
        let worker = &mut workers[kill as usize % 3];
        drop(worker.take()); // killed, if it did not die before
        if kill % 10 == 5 {
            folder.remove_and_make_anew();
        }
        *worker = spawn();
        if kill % 10 == 9 {
            // All who were there before the folder was removed go; one that comes takes over.
            workers.iter_mut().for_each(|worker| drop(worker.take()));
            let rounds = shared.word(ROUNDS).load(Ordering::SeqCst);
            let began = Instant::now();
            while shared.word(ROUNDS).load(Ordering::SeqCst) <= rounds {
                assert!(began.elapsed() < 3 * GENEROUS, "nobody gets in any more");
                // Children of the killed may be left for a moment.
                if workers[0].as_mut().is_none_or(|worker| !worker.is_running()) {
                    workers[0] = spawn();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            workers[1] = spawn();
            workers[2] = spawn();
        }
        assert_eq!(shared.word(TWO_INSIDE).load(Ordering::SeqCst), 0, "two were inside");
    }
    assert!(shared.word(ROUNDS).load(Ordering::SeqCst) > kills, "hardly anything happened");
}

#[test]
fn nobody_gets_the_lock_beside_a_holder_whatever_happens_to_them() {
    storm("befall", 40);
}
