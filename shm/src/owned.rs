//! A structure together with the segment in which it lies. So `Mutex`, `Channel` and the other types need no lifetime:
//! a struct can have a segment and its structures as fields, and you can move them into a thread.

use crate::{Error, Segment, attachment::Attachment};
use shm_sync::{Live, Region, Step, SyncError, future::steps_to_future, live_file_at};
use std::sync::Arc;

/// Something of `shm_sync` that reaches into the segment. What a user gets of it borrows this, and so ends first.
#[derive(Debug)]
pub(crate) struct Owned<T> {
    // Dropped in this order: a sender, for example, says that it has gone.
    pub(crate) raw: T,
    pub(crate) segment: Segment,
    pub(crate) live: &'static Live,
}

impl<T> Owned<T> {
    /// A structure at `offset`.
    pub(crate) fn open<E: Into<Error>>(
        segment: &Segment,
        offset: usize,
        open: impl FnOnce(Region<'static>, &'static Live) -> Result<T, E>,
    ) -> Result<Self, Error> {
        // SAFETY: it goes into what we return only, which keeps the segment.
        let region = unsafe { region(segment) };
        let live = live_at(segment, region, offset)?;
        let raw = open(region, live).map_err(Into::into)?;
        Ok(Self { raw, segment: segment.clone(), live })
    }

    /// A part of it: an end of a channel, for example.
    pub(crate) fn part<U>(
        &self,
        part: impl FnOnce(&T) -> Result<U, SyncError>,
    ) -> Result<Owned<U>, SyncError> {
        Ok(Owned { raw: part(&self.raw)?, segment: self.segment.clone(), live: self.live })
    }
}

/// All of a segment, for ever.
///
/// # Safety
///
/// It is not used any more when the segment is gone.
unsafe fn region(segment: &Segment) -> Region<'static> {
    let attachment = segment.attachment();
    // SAFETY: it stays mapped as long as the segment, by the contract of the backends, and nothing here gives a
    // reference to its bytes.
    unsafe { Region::from_raw(attachment.start(), attachment.size(), attachment.access()) }
}

/// The live file for the structure at `offset`.
fn live_at(segment: &Segment, region: Region<'_>, offset: usize) -> Result<&'static Live, SyncError> {
    match segment.attachment().info() {
        Ok(info) => Live::of_segment(&info, live_file_at(region, offset)?),
        // A segment that was destroyed while it is held has no description.
        Err(_) => Live::own(),
    }
}

/// Takes steps of an operation in a segment until one is ready, without blocking.
pub(crate) async fn wait<'a, T>(
    segment: &Segment,
    step: impl FnMut() -> Result<Step<'a, T>, SyncError>,
) -> Result<T, SyncError> {
    let keep: Arc<Attachment> = segment.attachment().clone();
    // SAFETY: the words of a structure lie in its segment, which stays mapped while an `Arc` of the attachment lives.
    unsafe { steps_to_future(keep, step) }.await
}
