//! A map by its key: created, or opened if it exists.

use crate::{Map, MapError, MapOptions};
use shm_api::{AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, Key, Segment};
use shm_sync::{Live, Region, live_file_at};
use std::num::NonZeroUsize;

/// How often opening tries again, if the segment is created and destroyed meanwhile.
const ATTEMPTS: u32 = 100;

/// A map, and the segment in which it lies. Dropping it detaches the segment.
#[derive(Debug)]
pub struct SegmentMap<S> {
    // Before the segment, which it lies in.
    map: Map<'static>,
    segment: S,
}

impl<S: Segment> SegmentMap<S> {
    /// Opens the map that `key` names. If there is none, and the options have `memory`, creates it. Two processes may
    /// do so at the same moment. `shape` sets further options of the new segment, for example its mode, or whether it
    /// persists.
    ///
    /// # Errors
    ///
    /// [`MapError::Fresh`] if there is none, and the options have no `memory`; otherwise as [`Map::open`],
    /// [`Backend::create`] and [`Backend::attach`].
    pub fn open<B: Backend<Segment = S>>(
        backend: &B,
        key: &Key,
        options: &MapOptions,
        shape: impl Fn(CreateOptions) -> CreateOptions,
    ) -> Result<Self, MapError> {
        for _ in 0..ATTEMPTS {
            match backend.attach(key) {
                Ok(segment) => match Self::over(backend, segment, options) {
                    // Its creator was killed before it became a map of another size. Once nobody holds it, it is gone.
                    Err(MapError::Sync(shm_sync::SyncError::TooSmall { .. })) if options.memory.is_some() => {
                    }
                    opened => return opened,
                },
                Err(AttachError::NotFound { .. }) if options.memory.is_none() => {
                    return Err(MapError::Fresh { key: Some(key.clone()) });
                }
                Err(AttachError::NotFound { .. }) => {
                    match backend.create(key, &shape(CreateOptions::new(size(options)?))) {
                        Ok(segment) => return Self::over(backend, segment, options),
                        Err(CreateError::Exists { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
            std::thread::yield_now();
        }
        Err(MapError::Unsteady { key: key.clone() })
    }

    /// Creates a map under a random key.
    ///
    /// # Errors
    ///
    /// As [`Map::open`] and [`Backend::create_anywhere`].
    pub fn create_anywhere<B: Backend<Segment = S>>(
        backend: &B,
        options: &MapOptions,
        shape: impl Fn(CreateOptions) -> CreateOptions,
    ) -> Result<Self, MapError> {
        let segment = backend.create_anywhere(&shape(CreateOptions::new(size(options)?)))?;
        Self::over(backend, segment, options)
    }

    /// Opens the map that `key` names for reading.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_read_only<B: AttachReadOnly<Segment = S>>(
        backend: &B,
        key: &Key,
        options: &MapOptions,
    ) -> Result<Self, MapError> {
        let segment = match backend.attach_read_only(key) {
            Err(AttachError::NotFound { .. }) => return Err(MapError::Fresh { key: Some(key.clone()) }),
            attached => attached?,
        };
        let map = Map::open_read_only(region(&segment), options).map_err(|error| error.under(key))?;
        Ok(Self { map, segment })
    }

    fn over<B: Backend<Segment = S>>(
        backend: &B,
        segment: S,
        options: &MapOptions,
    ) -> Result<Self, MapError> {
        let region = region(&segment);
        let live = Live::of_segment(&backend.info(segment.key())?, live_file_at(region, 0)?)?;
        let map = Map::open(region, options, live).map_err(|error| error.under(segment.key()))?;
        Ok(Self { map, segment })
    }

    /// The map.
    pub const fn map(&self) -> &Map<'_> {
        &self.map
    }

    /// The segment in which it lies.
    pub const fn segment(&self) -> &S {
        &self.segment
    }

    /// Ends the map for this process, and gives the segment back.
    pub fn into_segment(self) -> S {
        self.segment
    }
}

fn size(options: &MapOptions) -> Result<NonZeroUsize, MapError> {
    let memory = options.sizes()?.memory;
    let too_much = || MapError::OutOfRange {
        option: "memory",
        value: memory,
        must: "what a process can address".into(),
    };
    usize::try_from(memory).ok().and_then(NonZeroUsize::new).ok_or_else(too_much)
}

/// All of a segment, as long as it is held. The map over it lies in the same struct, and is dropped first.
fn region(segment: &impl Segment) -> Region<'static> {
    // SAFETY: the segment stays attached, wherever its value is moved to, until it is dropped, and `SegmentMap` drops
    // the map before it; nobody gets a copy of the map for longer, as `map` lends it. It is reached by the map alone
    // here.
    unsafe { Region::from_raw(segment.as_ptr(), segment.size().get(), segment.access()) }
}
