//! The lock of a key: a named mutex, which the kernel frees when its owner ends.

use crate::{failed::Failed, handle, name::ObjectName};
use shm_lifetime::named::{Access, last_error, owned};
use std::{
    marker::PhantomData,
    os::windows::io::{AsRawHandle, OwnedHandle},
    sync::Arc,
    time::{Duration, Instant},
};
use windows_sys::Win32::{
    Foundation::{ERROR_BUSY, ERROR_FILE_NOT_FOUND, WAIT_ABANDONED, WAIT_OBJECT_0, WAIT_TIMEOUT},
    System::Threading::{
        CreateMutexW, MUTEX_MODIFY_STATE, OpenMutexW, ReleaseMutex, SYNCHRONIZATION_SYNCHRONIZE,
        WaitForSingleObject,
    },
};

/// How long to wait for it: a process that was stopped stalls nobody for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lock. Every holder of a segment of this library has it open, so that one that does not exist means that there is
/// no such segment.
#[derive(Clone, Debug)]
pub(crate) struct Lock(Arc<OwnedHandle>);

impl Lock {
    /// Opens it, and makes it if need be.
    pub(crate) fn create(name: &ObjectName, access: &Access) -> Result<Self, Failed> {
        let attributes = access.attributes();
        let name = name.lock();
        // SAFETY: a string with its NUL, and a valid structure.
        let made = unsafe { CreateMutexW(&raw const attributes, 0, name.as_ptr()) };
        // SAFETY: a new handle, or null.
        let lock = unsafe { owned(made) }.map_err(|code| Failed::new("CreateMutex", code))?;
        Ok(Self(Arc::new(lock)))
    }

    /// Lets those in who may open the segment that this process makes now. The lock may be there from an earlier one.
    pub(crate) fn open_to(&self, access: &Access) -> Result<(), Failed> {
        access.apply(&self.0).map_err(|code| Failed::new("SetKernelObjectSecurity", code))
    }

    /// Opens it; `None` if nobody has it.
    pub(crate) fn open(name: &ObjectName) -> Result<Option<Self>, Failed> {
        let name = name.lock();
        let access = SYNCHRONIZATION_SYNCHRONIZE | MUTEX_MODIFY_STATE;
        // SAFETY: a string with its NUL.
        let opened = unsafe { OpenMutexW(access, 0, name.as_ptr()) };
        // SAFETY: a new handle, or null.
        match unsafe { owned(opened) } {
            Ok(lock) => Ok(Some(Self(Arc::new(lock)))),
            Err(ERROR_FILE_NOT_FOUND) => Ok(None),
            Err(code) => Err(Failed::new("OpenMutex", code)),
        }
    }

    /// Returns the lock with a handle that the kernel closes after that of the section, if this process is killed. So
    /// the lock exists as long as the segment has its name.
    pub(crate) fn closed_after(self, section: &OwnedHandle) -> Self {
        match self.0.try_clone() {
            Ok(handle) => Self(Arc::new(handle::closed_after(section, handle))),
            Err(_) => self, // no room for another handle
        }
    }

    /// Takes it, within a second.
    pub(crate) fn take(&self) -> Result<Guard, Failed> {
        self.take_until(Instant::now() + PATIENCE)
    }

    /// Takes it until a moment.
    pub(crate) fn take_until(&self, deadline: Instant) -> Result<Guard, Failed> {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis().min(60_000) as u32;
        // SAFETY: an open handle.
        match unsafe { WaitForSingleObject(self.0.as_raw_handle(), left) } {
            // A process that ended with the lock left no half-made change: each change is one store.
            WAIT_OBJECT_0 | WAIT_ABANDONED => Ok(Guard(self.clone(), PhantomData)),
            WAIT_TIMEOUT => Err(Failed::new("WaitForSingleObject", ERROR_BUSY)),
            _ => Err(Failed::new("WaitForSingleObject", last_error())),
        }
    }
}

/// The right of this thread, until it is dropped. A mutex belongs to a thread, so it goes to no other.
#[derive(Debug)]
pub(crate) struct Guard(Lock, PhantomData<*const ()>);

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: an open handle of a mutex that this thread has.
        unsafe { ReleaseMutex(self.0.0.as_raw_handle()) };
    }
}
