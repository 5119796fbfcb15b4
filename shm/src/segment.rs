//! A segment. Several values in this process can share one attachment of it.

use crate::{
    Error,
    attachment::{Attachment, with_segment},
};
use bytemuck::Pod;
use shm_api::{Atomic, AttachError, CreateError, CreateOptions, Key, Segment as _};
use std::{num::NonZeroUsize, sync::Arc};

/// A segment of shared memory that is attached to this process. A clone is the same attachment. The segment is detached
/// when the last clone, and the last structure that was opened in it, have been dropped. It is destroyed when the last
/// process has detached it, however that process ends.
///
/// A key is a name (`"orders"`, a POSIX segment) or an integer (`42`, a System V segment). If only one backend is built
/// in, integers are for that one. On Windows both name a section.
#[derive(Clone, Debug)]
pub struct Segment(Arc<Handle>);

/// What all clones have in common. The engine of the futures also keeps the attachment while it waits in it.
#[derive(Debug)]
struct Handle {
    attachment: Arc<Attachment>,
}

impl Segment {
    /// Attaches the segment that `key` names. If there is none, creates it, with `size` bytes, all zero. Any process
    /// may come first.
    ///
    /// # Errors
    ///
    /// If the key is invalid, or the system refuses.
    pub fn open<K: TryInto<Key>>(key: K, size: usize) -> Result<Self, Error>
    where
        Error: From<K::Error>,
    {
        let (key, options) = (key.try_into()?, options(size)?);
        loop {
            match Attachment::attach(&key) {
                Err(AttachError::NotFound { .. }) => {}
                attached => return Ok(Self::new(attached?)),
            }
            match Attachment::create(&key, &options) {
                Err(CreateError::Exists { .. }) => {}
                created => return Ok(Self::new(created?)),
            }
        }
    }

    /// Creates a segment of `size` bytes, all zero.
    ///
    /// # Errors
    ///
    /// [`CreateError::Exists`] if the key is taken; otherwise as [`open`](Self::open).
    pub fn create<K: TryInto<Key>>(key: K, size: usize) -> Result<Self, Error>
    where
        Error: From<K::Error>,
    {
        Self::create_with(key, &options(size)?)
    }

    /// Creates a segment with options. A mode can let other users attach it, and it can persist without holders.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_with<K: TryInto<Key>>(key: K, options: &CreateOptions) -> Result<Self, Error>
    where
        Error: From<K::Error>,
    {
        Ok(Self::new(Attachment::create(&key.try_into()?, options)?))
    }

    /// Creates a segment of `size` bytes under a random integer that was free: see [`key`](Self::key).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn create_anywhere(size: usize) -> Result<Self, Error> {
        Ok(Self::new(Attachment::create_anywhere(&options(size)?)?))
    }

    /// Attaches the segment that `key` names.
    ///
    /// # Errors
    ///
    /// [`AttachError::NotFound`] if there is none; otherwise as [`open`](Self::open).
    pub fn attach<K: TryInto<Key>>(key: K) -> Result<Self, Error>
    where
        Error: From<K::Error>,
    {
        Ok(Self::new(Attachment::attach(&key.try_into()?)?))
    }

    fn new(attachment: Attachment) -> Self {
        Self(Arc::new(Handle { attachment: Arc::new(attachment) }))
    }

    pub(crate) fn attachment(&self) -> &Arc<Attachment> {
        &self.0.attachment
    }

    /// The key by which other processes attach it.
    pub fn key(&self) -> &Key {
        self.attachment().key()
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.attachment().size()
    }

    /// Copies bytes from `offset` on into `target`, and returns how many: fewer if the segment ends earlier. Another
    /// process may write at the same time, so the copy may mix old and new bytes.
    pub fn read(&self, offset: usize, target: &mut [u8]) -> usize {
        with_segment!(&**self.attachment(), segment => segment.read(offset, target))
    }

    /// Copies `source` into the segment from `offset` on, and returns how many bytes it copied: fewer if the segment
    /// ends earlier.
    pub fn write(&self, offset: usize, source: &[u8]) -> usize {
        with_segment!(&**self.attachment(), segment => segment.write(offset, source))
    }

    /// Returns a copy of the value at `offset`. It may mix old and new bytes, as in [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// [`Error::Outside`].
    pub fn get<T: Pod>(&self, offset: usize) -> Result<T, Error> {
        let mut value = T::zeroed();
        let read = self.read(offset, bytemuck::bytes_of_mut(&mut value));
        if read == size_of::<T>() { Ok(value) } else { Err(self.outside::<T>(offset)) }
    }

    /// Copies a value to `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Outside`]; nothing is written then.
    pub fn set<T: Pod>(&self, offset: usize, value: &T) -> Result<(), Error> {
        if offset.checked_add(size_of::<T>()).is_none_or(|end| end > self.size()) {
            return Err(self.outside::<T>(offset));
        }
        self.write(offset, bytemuck::bytes_of(value));
        Ok(())
    }

    fn outside<T>(&self, offset: usize) -> Error {
        Error::Outside { offset, size: size_of::<T>(), end: self.size() }
    }

    /// The atomic integer at `offset`; `None` if it does not fit or is not aligned.
    pub fn atomic<T: Atomic>(&self, offset: usize) -> Option<&T> {
        with_segment!(&**self.attachment(), segment => segment.atomic(offset))
    }
}

fn options(size: usize) -> Result<CreateOptions, Error> {
    let size = NonZeroUsize::new(size).ok_or(Error::Empty)?;
    Ok(CreateOptions::new(size))
}

#[cfg(all(unix, feature = "sysv"))]
impl From<shm_sysv::SysVSegment> for Segment {
    fn from(segment: shm_sysv::SysVSegment) -> Self {
        Self::new(segment.into())
    }
}

#[cfg(all(unix, feature = "posix"))]
impl From<shm_posix::PosixSegment> for Segment {
    fn from(segment: shm_posix::PosixSegment) -> Self {
        Self::new(segment.into())
    }
}

#[cfg(windows)]
impl From<shm_windows::WindowsSegment> for Segment {
    fn from(segment: shm_windows::WindowsSegment) -> Self {
        Self::new(segment.into())
    }
}

#[cfg(feature = "sync")]
impl Drop for Handle {
    fn drop(&mut self) {
        let start = self.attachment.start().addr().get();
        shm_sync::future::end_waits(start..start + self.attachment.size());
    }
}
