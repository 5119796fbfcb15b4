//! A named section.

use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_sync::Live;
use shm_windows::{Windows, WindowsSegment};
use std::{num::NonZeroUsize, process::ExitStatus, ptr::NonNull};

pub(super) struct Memory(WindowsSegment);

impl Memory {
    pub(super) fn new(size: usize) -> Self {
        let options = CreateOptions::new(NonZeroUsize::new(size).unwrap());
        Self(Windows::new().create(&Key::random().unwrap(), &options).unwrap())
    }

    pub(super) fn open(name: &str) -> Self {
        Self(Windows::new().attach(&Key::id(name.parse().unwrap()).unwrap()).unwrap())
    }

    /// The name by which a child opens it.
    pub(super) fn name(&self) -> String {
        let Key::Id(id) = self.0.key() else { panic!("a random key is an integer") };
        id.to_string()
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.0.as_ptr()
    }

    pub(super) fn len(&self) -> usize {
        self.0.size().get()
    }

    pub(super) fn live(&self) -> &'static Live {
        Live::own().unwrap()
    }
}

/// By `TerminateProcess`: the standard library gives it this exit code. A test that failed ends with another.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}
