//! A mapped memfd, and a live file that is one too.

use super::Shared;
use nix::sys::memfd::{MFdFlags, memfd_create};
use shm_sync::Live;
use std::{
    fs::{File, OpenOptions},
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::Path,
    process::ExitStatus,
    ptr::NonNull,
    sync::Arc,
};

pub(super) struct Memory {
    mapping: memmap2::MmapRaw,
    path: String,
    live_path: String,
    live: &'static Live,
    files: Option<Arc<(File, File)>>,
}

fn memfd(size: u64) -> File {
    let file = File::from(memfd_create(c"shm-sync-test", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(size).unwrap();
    file
}

fn open(path: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

impl Memory {
    pub(super) fn new(size: usize) -> Self {
        let (memory, live) = (memfd(size as u64), memfd(0));
        let path = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let name = format!("{}:{}", path(&memory), path(&live));
        Self { files: Some(Arc::new((memory, live))), ..Self::open(&name) }
    }

    pub(super) fn open(name: &str) -> Self {
        let (path, live_path) = name.split_once(':').unwrap();
        let mapping = memmap2::MmapRaw::map_raw(&open(path)).unwrap();
        let live = Path::new(live_path);
        let live =
            if live.is_dir() { Live::in_folder(live) } else { Live::over(open(live_path).into()) }.unwrap();
        Self { mapping, path: path.to_owned(), live_path: live_path.to_owned(), live, files: None }
    }

    /// The name by which a child opens it.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.path, self.live_path)
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        NonNull::new(self.mapping.as_mut_ptr()).unwrap()
    }

    pub(super) fn len(&self) -> usize {
        self.mapping.len()
    }

    pub(super) fn live(&self) -> &'static Live {
        self.live
    }
}

impl Shared {
    /// The same with a live file in this folder, which its users open by its name.
    pub(crate) fn in_folder(size: usize, folder: &Path) -> Self {
        Self::new(size).with_live_in(folder)
    }

    /// The same memory with the live file in this folder.
    pub(crate) fn with_live_in(&self, folder: &Path) -> Self {
        let name = format!("{}:{}", self.0.path, folder.to_str().unwrap());
        Self(Memory { files: self.0.files.clone(), ..Memory::open(&name) })
    }
}

pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGKILL)
}
