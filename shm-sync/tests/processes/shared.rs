//! Memory that the processes of a test share, and the processes.

#[cfg_attr(windows, path = "shared/windows.rs")]
#[cfg_attr(not(windows), path = "shared/linux.rs")]
mod system;

use shm_api::Access;
use shm_sync::{Live, Region};
use std::{
    process::{Child, Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use system::Memory;

/// What a test finishes in, even on a machine that is busy with other things.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

const ROLE: &str = "SHM_SYNC_TEST_ROLE";
const MEMORY: &str = "SHM_SYNC_TEST_MEMORY";
const ARGUMENT: &str = "SHM_SYNC_TEST_ARGUMENT";

/// Memory, and a live file. Nothing of them has a name that could stay behind.
pub(crate) struct Shared(Memory);

impl Shared {
    /// All zeros: the first 4096 bytes are for the test itself, then come `size` for what it tests.
    pub(crate) fn new(size: usize) -> Self {
        Self(Memory::new(4096 + size))
    }

    /// The parent's memory, in a child.
    pub(crate) fn of_parent() -> Self {
        Self(Memory::open(&std::env::var(MEMORY).unwrap()))
    }

    pub(crate) fn live(&self) -> &'static Live {
        self.0.live()
    }

    pub(crate) fn region(&self) -> Region<'_> {
        self.region_with(Access::ReadWrite)
    }

    pub(crate) fn region_with(&self, access: Access) -> Region<'_> {
        let (start, len) = (self.0.start(), self.0.len());
        // SAFETY: it stays mapped as long as `self`.
        let all = unsafe { Region::from_raw(start, len, access) };
        all.at(4096, len - 4096).unwrap()
    }

    /// A word for the test itself.
    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < 1024);
        let first = self.0.start().cast::<u32>();
        // SAFETY: it is in the first 4096 bytes.
        let word = unsafe { first.add(index) };
        // SAFETY: it is aligned, and stays mapped as long as `self`.
        unsafe { AtomicU32::from_ptr(word.as_ptr()) }
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
            .env(MEMORY, self.0.name())
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
        assert!(system::was_killed(status), "it ended before, by an assertion of its own: {status}");
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
