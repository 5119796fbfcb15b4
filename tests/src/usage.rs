//! What this process uses, as `/proc` tells it.

use std::{fs, io};

/// Descriptors, mappings and resident memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Entries of `/proc/self/fd`.
    pub descriptors: usize,
    /// Lines of `/proc/self/maps`.
    pub mappings: usize,
    /// `VmRSS`, in KiB.
    pub resident: u64,
}

impl Usage {
    /// That of this process, now.
    ///
    /// # Errors
    ///
    /// Where `/proc` cannot be read.
    pub fn now() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            mappings: fs::read_to_string("/proc/self/maps")?.lines().count(),
            resident: resident.and_then(|kib| kib.parse().ok()).ok_or(io::ErrorKind::InvalidData)?,
        })
    }
}
