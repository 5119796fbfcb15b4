//! What the unit tests share.

use crate::protocol::step::{Patience, Peers};
use crate::{Live, Owner, Region};
use shm_api::Access;
use std::{alloc::Layout, ptr::NonNull, sync::OnceLock};

/// Says why a test proves nothing here. With `SHM_TESTS_NO_SKIP=1` that is a failure.
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
    assert_ne!(std::env::var("SHM_TESTS_NO_SKIP").as_deref(), Ok("1"), "skipped: {reason}");
}

/// Zeroed memory, aligned as a segment is. (Mapped memory is what the tests with processes use.)
pub(crate) struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is reached through regions only.
unsafe impl Sync for Memory {}

impl Memory {
    pub(crate) fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 4096).unwrap();
        // SAFETY: no test asks for nothing.
        let start = unsafe { std::alloc::alloc_zeroed(layout) };
        Self { start: NonNull::new(start).unwrap(), layout }
    }

    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: the memory lives as long as `self`.
        unsafe { Region::from_raw(self.start, self.layout.size(), Access::ReadWrite) }
    }

    pub(crate) fn read_only(&self) -> Region<'_> {
        // SAFETY: the memory lives as long as `self`.
        unsafe { Region::from_raw(self.start, self.layout.size(), Access::ReadOnly) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Peers of whom a test says whether they live, for one who is out of patience.
#[derive(Clone, Copy)]
pub(crate) struct Lives<F>(pub(crate) F);

impl<F: Fn(Owner) -> bool + Copy> Peers for Lives<F> {
    fn is_alive(self, owner: Owner) -> bool {
        (self.0)(owner)
    }

    fn is_over(self, _: &mut Patience) -> bool {
        true
    }
}

/// A live file of the test's own process; on Windows, what the session has in place of one.
pub(crate) fn live() -> &'static Live {
    static LIVE: OnceLock<&'static Live> = OnceLock::new();
    LIVE.get_or_init(|| {
        cfg_if::cfg_if! {
            if #[cfg(windows)] {
                Live::own().unwrap()
            } else {
                Live::over(memfd(0)).unwrap()
            }
        }
    })
}

#[cfg(unix)]
pub(crate) use files::{Folder, memfd};

#[cfg(unix)]
mod files {
    use std::{
        fs::File,
        os::fd::OwnedFd,
        path::{Path, PathBuf},
        sync::atomic::{AtomicU32, Ordering},
    };

    cfg_if::cfg_if! {
        if #[cfg(target_os = "linux")] {
            pub(crate) fn memfd(size: u64) -> OwnedFd {
                use nix::sys::memfd::{MFdFlags, memfd_create};
                let file = File::from(memfd_create(c"shm-sync-test", MFdFlags::MFD_CLOEXEC).unwrap());
                file.set_len(size).unwrap();
                file.into()
            }

            fn place() -> PathBuf {
                "/dev/shm".into()
            }
        } else {
            /// A file in the temporary folder, which stays there: a second description of it comes from its path.
            pub(crate) fn memfd(size: u64) -> OwnedFd {
                static COUNT: AtomicU32 = AtomicU32::new(0);
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                let path = place().join(format!("shm-sync-test-{}-{count}", std::process::id()));
                let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
                file.set_len(size).unwrap();
                file.into()
            }

            fn place() -> PathBuf {
                std::env::temp_dir()
            }
        }
    }

    /// A folder that is gone when the test is.
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = place().join(format!(".shm-sync-test-{}-{count}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}
