//! Which bytes of a segment are its data, and so in its buffer.

use crate::{
    backends::AnySegment,
    failure::{AGAIN, Failure},
};
use shm_api::OsError;
use std::sync::atomic::Ordering::Relaxed;

/// What stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// Data only.
    Whole,
    /// 8 bytes that hold the data's size, then the data: so the npm package shm-typed-array makes its POSIX objects.
    Sized,
    /// A map, which finds its own way.
    Map,
}

/// Where the data of a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

impl Layout {
    /// How many bytes stand before the data.
    pub(crate) const fn header(self) -> usize {
        match self {
            Self::Whole | Self::Map => 0,
            Self::Sized => size_of::<u64>(),
        }
    }

    /// Writes the header of a new segment.
    pub(crate) fn begin(self, segment: &AnySegment) -> Data {
        let data = Data { offset: self.header(), size: segment.size() - self.header() };
        if let (Self::Sized, Some(header)) = (self, segment.atomic_u64(0)) {
            header.store(data.size as u64, Relaxed);
        }
        data
    }

    /// Reads the header of a segment. Others can write anything there, so it is believed only as far as the segment
    /// goes, and only once.
    pub(crate) fn read(self, segment: &AnySegment) -> Result<Data, Failure> {
        let Self::Sized = self else { return Ok(Data { offset: 0, size: segment.size() }) };
        let stored = segment.atomic_u64(0).map_or(u64::MAX, |header| header.load(Relaxed));
        if stored == 0 {
            return Err(OsError::new("mmap", AGAIN)
                .on(segment.key())
                .advise("Its first 8 bytes, for its size, are 0: its creator has not written them yet, or is another program")
                .into());
        }
        let room = segment.size().saturating_sub(self.header());
        match usize::try_from(stored) {
            Ok(size) if size <= room => Ok(Data { offset: self.header(), size }),
            _ => Err(Failure::Ours(
                "ERR_SHM_SIZE_MISMATCH",
                format!(
                    "segment {} has room for {room} bytes of data, but its first 8 bytes say {stored}: it was not made \
                     by shm-typed-array. Attach it with `require('shm-node').get`",
                    segment.key()
                ),
            )),
        }
    }
}
