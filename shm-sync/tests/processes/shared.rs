//! Memory that the processes of a test share, and the processes.

use shm_api::Access;
use shm_sync::{Live, Region};
use std::{
    fs::{File, OpenOptions},
    os::fd::{AsRawFd, FromRawFd},
    path::Path,
    process::{Child, Command, ExitStatus},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// What a test finishes in, even on a machine that is busy with other things.
pub(crate) const GENEROUS: Duration = Duration::from_secs(20);

const ROLE: &str = "SHM_SYNC_TEST_ROLE";
const MEMORY: &str = "SHM_SYNC_TEST_MEMORY";
const LIVE: &str = "SHM_SYNC_TEST_LIVE";
const ARGUMENT: &str = "SHM_SYNC_TEST_ARGUMENT";

/// A mapped memfd, and a live file that is one too. Nothing of them has a name that could stay behind.
pub(crate) struct Shared {
    memory: memmap2::MmapRaw,
    memory_path: String,
    live_path: String,
    live: &'static Live,
    _files: Option<Arc<(File, File)>>,
}

fn memfd(size: u64) -> File {
    // SAFETY: the name is a string.
    let fd = unsafe { libc::memfd_create(c"shm-sync-test".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: just opened, and nobody else has it.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(size).unwrap();
    file
}

fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

impl Shared {
    /// All zeros: the first 4096 bytes are for the test itself, then come `size` for what it tests.
    pub(crate) fn new(size: usize) -> Self {
        let (memory, live) = (memfd(4096 + size as u64), memfd(0));
        let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let paths = (path(&memory), path(&live));
        Self { _files: Some(Arc::new((memory, live))), ..Self::open(paths.0, paths.1) }
    }

    /// The same with a live file in this folder, which its users open by its name.
    pub(crate) fn in_folder(size: usize, folder: &Path) -> Self {
        Self::new(size).with_live_in(folder)
    }

    /// The same memory with the live file in this folder.
    pub(crate) fn with_live_in(&self, folder: &Path) -> Self {
        let folder = folder.to_str().unwrap().to_owned();
        Self { _files: self._files.clone(), ..Self::open(self.memory_path.clone(), folder) }
    }

    fn open(memory_path: String, live_path: String) -> Self {
        let memory = memmap2::MmapRaw::map_raw(&open(&memory_path)).unwrap();
        let live = Path::new(&live_path);
        let live =
            if live.is_dir() { Live::in_folder(live) } else { Live::over(open(&live_path).into()) }.unwrap();
        Self { memory, memory_path, live_path, live, _files: None }
    }

    /// The parent's memory, in a child.
    pub(crate) fn of_parent() -> Self {
        let from = |name| std::env::var(name).unwrap();
        Self::open(from(MEMORY), from(LIVE))
    }

    pub(crate) fn live(&self) -> &'static Live {
        self.live
    }

    pub(crate) fn region(&self) -> Region<'_> {
        self.region_with(Access::ReadWrite)
    }

    pub(crate) fn region_with(&self, access: Access) -> Region<'_> {
        let start = NonNull::new(self.memory.as_mut_ptr()).unwrap();
        // SAFETY: it stays mapped as long as `self`.
        let all = unsafe { Region::from_raw(start, self.memory.len(), access) };
        all.at(4096, self.memory.len() - 4096).unwrap()
    }

    /// A word for the test itself.
    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < 1024);
        let first: *mut u32 = self.memory.as_mut_ptr().cast();
        // SAFETY: it is in the first 4096 bytes.
        let word = unsafe { first.add(index) };
        // SAFETY: it is aligned, and stays mapped as long as `self`.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Waits until a word of the test holds a value.
    pub(crate) fn until(&self, index: usize, what: impl Fn(u32) -> bool) -> u32 {
        let start = Instant::now();
        loop {
            let value = self.word(index).load(Ordering::SeqCst);
            if what(value) {
                return value;
            }
            assert!(start.elapsed() < GENEROUS, "word {index} is {value}");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// A process that runs the role of this name.
    pub(crate) fn spawn(&self, role: &str, argument: u64) -> Process {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(MEMORY, &self.memory_path)
            .env(LIVE, &self.live_path)
            .env(ARGUMENT, argument.to_string())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }
}

/// The role that this process has to play, if it is a child.
pub(crate) fn role() -> Option<(String, u64)> {
    Some((std::env::var(ROLE).ok()?, std::env::var(ARGUMENT).unwrap().parse().unwrap()))
}

/// From now on this process dies at one step of a hundred.
#[cfg(shm_storm)]
pub(crate) fn arm() {
    shm_lifetime::fault::arm(u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15), 100);
}

/// A child, killed with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(libc::SIGKILL), "it ended before, by an assertion of its own");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub(crate) fn join(mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < 3 * GENEROUS, "the child does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
