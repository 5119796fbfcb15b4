//! A value in shared memory that a lock protects. It is copied when it is locked, and copied back when it is unlocked.

use crate::Error;
use bytemuck::Pod;
use shm_api::racy_copy;
use shm_sync::{Region, SyncError};
use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    thread::panicking,
};

/// Where the value lies: after its lock, at the next multiple of 8.
#[derive(Debug)]
pub(crate) struct Home<T> {
    region: Region<'static>,
    value: PhantomData<T>,
}

// Not derived, which would ask for a `T` that is one.
impl<T> Clone for Home<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Home<T> {}

impl<T: Pod> Home<T> {
    /// The room that a lock of `lock` bytes takes together with its value.
    pub(crate) const fn byte_len(lock: usize) -> usize {
        lock.next_multiple_of(8) + size_of::<T>()
    }

    pub(crate) fn after(lock: usize, offset: usize, region: Region<'static>) -> Result<Self, SyncError> {
        let all = region.at(offset, Self::byte_len(lock))?;
        let region = all.at(lock.next_multiple_of(8), size_of::<T>())?;
        Ok(Self { region, value: PhantomData })
    }

    pub(crate) fn load(self) -> Result<T, SyncError> {
        let mut value = T::zeroed();
        let target = NonNull::from(bytemuck::bytes_of_mut(&mut value)).cast();
        // SAFETY: as many bytes lie there, and nothing of ours overlaps shared memory; any bytes are a `T`.
        unsafe { racy_copy(self.region.as_ptr(), target, size_of::<T>()) };
        if self.region.is_shrunk() { Err(SyncError::Shrunk) } else { Ok(value) }
    }

    fn store(self, value: &T) {
        let source = NonNull::from(bytemuck::bytes_of(value)).cast();
        // SAFETY: as above.
        unsafe { racy_copy(source, self.region.as_ptr(), size_of::<T>()) };
    }
}

/// A lock of `shm_sync` that is held for changing what it protects.
#[doc(hidden)]
pub trait Exclusive: sealed::Sealed {
    fn owner_died(&self) -> bool;
    fn is_held(&self) -> bool;
    fn unlock(self);
    fn unlock_as_dead(self);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for shm_sync::MutexGuard<'_> {}
    impl Sealed for shm_sync::WriteGuard<'_> {}
}

macro_rules! exclusive {
    ($($guard:ident)*) => {$(
        impl Exclusive for shm_sync::$guard<'_> {
            fn owner_died(&self) -> bool {
                shm_sync::$guard::owner_died(self)
            }
            fn is_held(&self) -> bool {
                shm_sync::$guard::is_held(self)
            }
            fn unlock(self) {
                shm_sync::$guard::unlock(self);
            }
            fn unlock_as_dead(self) {
                shm_sync::$guard::unlock_as_dead(self);
            }
        }
    )*};
}
exclusive!(MutexGuard WriteGuard);

/// A lock that is held, and a copy of the value that it protects. The copy is written back when the guard is dropped.
///
/// If a panic drops the guard, nothing is written back: the value stays as it was when it was locked. The next owner
/// gets [`Error::OwnerDied`], because the panic may have left other data half-changed.
#[derive(Debug)]
#[must_use = "dropping it unlocks"]
pub struct Guard<L: Exclusive, T: Pod> {
    lock: Option<L>,
    home: Home<T>,
    value: T,
    is_changed: bool,
    was_panicking: bool,
}

impl<L: Exclusive, T: Pod> Guard<L, T> {
    /// Takes the lock over, even if its last owner died.
    pub(crate) fn recover(lock: L, home: Home<T>) -> Result<Self, Error> {
        let value = match home.load() {
            Ok(value) => value,
            Err(error) => {
                // Nothing is repaired, so the next owner is told again.
                if lock.owner_died() {
                    lock.unlock_as_dead();
                }
                return Err(error.into());
            }
        };
        Ok(Self { lock: Some(lock), home, value, is_changed: false, was_panicking: panicking() })
    }

    /// Takes the lock, unless its last owner died: then a thread has to [recover](Self::recover) it.
    pub(crate) fn new(lock: L, home: Home<T>, what: &'static str) -> Result<Self, Error> {
        if lock.owner_died() {
            lock.unlock_as_dead();
            return Err(Error::OwnerDied { what });
        }
        Self::recover(lock, home)
    }

    /// Whether the last owner died, so that you have to repair the value. Only true after `recover()`.
    pub fn owner_died(&self) -> bool {
        self.lock.as_ref().is_some_and(L::owner_died)
    }

    /// The place of the value, for a caller that will lock it again.
    pub(crate) const fn home(&self) -> Home<T> {
        self.home
    }

    /// Writes the value back, and returns the lock, which is still held.
    pub(crate) fn into_lock(mut self) -> Option<L> {
        self.put_back();
        self.lock.take()
    }

    fn put_back(&mut self) {
        // A fork's child has a copy of its parent's guard, but not the lock.
        if self.is_changed && self.lock.as_ref().is_some_and(L::is_held) {
            self.home.store(&self.value);
        }
    }
}

impl<L: Exclusive, T: Pod> Deref for Guard<L, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<L: Exclusive, T: Pod> DerefMut for Guard<L, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

impl<L: Exclusive, T: Pod> Drop for Guard<L, T> {
    fn drop(&mut self) {
        let is_cut_short = panicking() && !self.was_panicking;
        if !is_cut_short {
            self.put_back();
        }
        match self.lock.take() {
            Some(lock) if is_cut_short => lock.unlock_as_dead(),
            Some(lock) => lock.unlock(),
            None => {}
        }
    }
}
