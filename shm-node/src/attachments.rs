//! The attachments of this thread: one attachment, and one `ArrayBuffer`, per segment and access.

use crate::{
    array_buffer::SharedBuffer,
    backends::{AnySegment, BackendId},
    failure::Failure,
    layout::{Data, Layout},
    table::{self, Held},
    waits,
};
use napi::{Env, sys};
use shm_api::{Access, Detached, Key};
use std::{cell::RefCell, collections::BTreeMap, ptr::NonNull, sync::OnceLock};

thread_local! {
    static ATTACHMENTS: RefCell<Attachments> = RefCell::default();
}

/// Ends everything that coordination has in an attachment; set when a thread of this process first uses it.
static END_COORDINATION: OnceLock<fn(Number)> = OnceLock::new();

/// Calls `end` with the number of each attachment of its thread before the segment is let go.
pub(crate) fn end_coordination_by(end: fn(Number)) {
    END_COORDINATION.get_or_init(|| end);
}

/// The number by which JavaScript knows an attachment.
pub(crate) type Number = u32;

/// How a segment of some key is attached.
type Manner = (BackendId, Access, Layout);

#[derive(Debug, Default)]
struct Attachments {
    by_number: BTreeMap<Number, Attachment>,
    /// The attachments that a key leads to, one of each manner; a segment that was replaced under its key is in
    /// `by_number` only.
    by_key: BTreeMap<Key, Vec<(Manner, Number)>>,
    last: Number,
}

impl Attachments {
    fn of_manner(&self, key: &Key, manner: Manner) -> Option<Number> {
        let same = |(other, _): &&(Manner, Number)| *other == manner;
        self.by_key.get(key)?.iter().find(same).map(|(_, number)| *number)
    }

    /// The key leads to this attachment no more.
    fn forget(&mut self, key: &Key, number: Number) {
        if let Some(all) = self.by_key.get_mut(key) {
            all.retain(|(_, other)| *other != number);
            if all.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}

#[derive(Debug)]
struct Attachment {
    key: Key,
    backend: BackendId,
    held: Held,
    data: Data,
    buffer: Option<SharedBuffer>,
    /// JavaScript was told that the segment was cut off.
    told_shrunk: bool,
}

impl Attachment {
    fn new(key: Key, backend: BackendId, held: Held, data: Data) -> Self {
        Self { key, backend, held, data, buffer: None, told_shrunk: false }
    }

    /// Ends all waits in the segment, before it is detached. Then no wake-up reaches this thread there any more.
    fn end_coordination(&self, number: Number) {
        self.end_waits();
        if let Some(end) = END_COORDINATION.get() {
            end(number);
        }
    }

    fn end_waits(&self) {
        let segment = self.held.segment();
        let start = segment.as_ptr().addr().get();
        waits::leave(start..start + segment.size());
    }
}

fn with<T>(work: impl FnOnce(&mut Attachments) -> T) -> T {
    ATTACHMENTS.with_borrow_mut(work)
}

/// Adds a segment that was just created or attached; `data` is what its buffer spans, and `counted` says whether the
/// line at the end of the process counts it.
pub(crate) fn add(
    backend: BackendId,
    segment: AnySegment,
    layout: Layout,
    data: Data,
    counted: bool,
) -> Number {
    let (key, manner) = (segment.key().clone(), (backend, segment.access(), layout));
    with(|all| {
        let mut number = all.last;
        loop {
            number = number.wrapping_add(1);
            if number != 0 && !all.by_number.contains_key(&number) {
                break;
            }
        }
        all.last = number;
        let of_key = all.by_key.entry(key.clone()).or_default();
        of_key.retain(|(other, _)| *other != manner);
        of_key.push((manner, number));
        all.by_number.insert(number, Attachment::new(key, backend, table::hold(segment, counted), data));
        number
    })
}

/// The attachment of a key, if the key still names the segment that is attached.
pub(crate) fn find_current(backend: BackendId, key: &Key, access: Access, layout: Layout) -> Option<Number> {
    with(|all| {
        let number = all.of_manner(key, (backend, access, layout))?;
        let segment = all.by_number.get(&number)?.held.segment();
        // An attachment that was cut off stays so, whatever size the segment has now.
        let current = segment.is_current() && !segment.is_shrunk();
        if !current {
            all.forget(key, number);
        }
        current.then_some(number)
    })
}

/// The attachments of a key, of whole segments.
pub(crate) fn of_key(backend: BackendId, key: &Key) -> Vec<Number> {
    with(|all| {
        let number = |access| all.of_manner(key, (backend, access, Layout::Whole));
        [Access::ReadWrite, Access::ReadOnly].into_iter().filter_map(number).collect()
    })
}

/// The backend on which a key leads to attachments of whole segments; where there are two, the first.
pub(crate) fn backend_of(key: &Key) -> Option<BackendId> {
    with(|all| {
        let backends = all.by_key.get(key)?.iter().filter(|((_, _, layout), _)| *layout == Layout::Whole);
        backends.map(|((backend, ..), _)| *backend).min_by_key(|backend| backend.index())
    })
}

/// Every attachment of this thread.
pub(crate) fn all() -> Vec<Number> {
    with(|all| all.by_number.keys().copied().collect())
}

/// Runs `work` with an attached segment.
pub(crate) fn with_segment<T>(number: Number, work: impl FnOnce(&AnySegment) -> T) -> Option<T> {
    with(|all| all.by_number.get(&number).map(|attachment| work(attachment.held.segment())))
}

/// The keys of the attachments that were cut off and were not returned here before. Their waits are ended.
pub(crate) fn newly_shrunk() -> Vec<Key> {
    with(|all| {
        let new = all.by_number.values_mut().filter(|one| !one.told_shrunk && one.held.segment().is_shrunk());
        new.map(|attachment| {
            attachment.told_shrunk = true;
            attachment.end_waits();
            attachment.key.clone()
        })
        .collect()
    })
}

/// What an attachment is named by, and how much data it has.
pub(crate) fn describe(number: Number) -> Option<(BackendId, Key, usize)> {
    with(|all| all.by_number.get(&number).map(|one| (one.backend, one.key.clone(), one.data.size)))
}

/// The `ArrayBuffer` over an attachment's data, made when it is first asked for.
pub(crate) fn buffer(env: Env, number: Number) -> Result<sys::napi_value, Failure> {
    with(|all| {
        let missing = || Failure::internal("no such attachment");
        let Attachment { held, data, buffer, .. } = all.by_number.get_mut(&number).ok_or_else(missing)?;
        // SAFETY: the data lies inside the segment.
        let start = unsafe { held.segment().as_ptr().add(data.offset) };
        let new = match &*buffer {
            // SAFETY: `detach` and `abandon` below let the segment go in place, into the buffer.
            None => unsafe { SharedBuffer::new(env, start, data.size) }?,
            // SAFETY: as above.
            Some(old) if old.is_moved(env)? => unsafe { old.renewed(env, start, data.size) }?,
            Some(buffer) => return buffer.value(env),
        };
        buffer.insert(new).value(env)
    })
}

/// What an attachment is named by.
pub(crate) fn name(number: Number) -> Option<(BackendId, Key)> {
    with(|all| all.by_number.get(&number).map(|attachment| (attachment.backend, attachment.key.clone())))
}

/// Where an attachment's data is, how much, and whether it can be written.
pub(crate) fn data(number: Number) -> Option<(NonNull<u8>, usize, Access)> {
    with(|all| {
        let Attachment { held, data, .. } = all.by_number.get(&number)?;
        // SAFETY: the data lies inside the segment.
        let start = unsafe { held.segment().as_ptr().add(data.offset) };
        Some((start, data.size, held.segment().access()))
    })
}

fn remove(number: Number) -> Option<Attachment> {
    with(|all| {
        let attachment = all.by_number.remove(&number)?;
        attachment.end_coordination(number);
        all.forget(&attachment.key, number);
        Some(attachment)
    })
}

/// Whether the line at the end of the process counts an attachment.
pub(crate) fn is_counted(number: Number) -> bool {
    with(|all| all.by_number.get(&number).is_some_and(|attachment| attachment.held.is_counted()))
}

/// Ends an attachment: all its views are empty from then on. `None` if there is none of that number.
pub(crate) fn detach(env: Env, number: Number) -> Result<Option<Detached>, Failure> {
    detach_after(env, number, &|| false)
}

/// As [`detach`], but waits for other processes to leave first, as long as `others_leave` says that one is about to.
pub(crate) fn detach_after(
    env: Env,
    number: Number,
    others_leave: &dyn Fn() -> bool,
) -> Result<Option<Detached>, Failure> {
    let Some(Attachment { held, buffer, .. }) = remove(number) else { return Ok(None) };
    let others_leave = unless_held_twice(held.segment(), others_leave);
    // Taken by a handler that ends the process: the answer is never used.
    let Some(segment) = held.take() else { return Ok(None) };
    let Some(buffer) = buffer else {
        // Its addresses were never given out, so they need not stay.
        return Ok(Some(if others_leave() {
            segment.let_go_in_place(others_leave).0
        } else {
            segment.detach()
        }));
    };
    let (detached, range) = segment.let_go_in_place(others_leave);
    buffer.detach(env, range)?;
    Ok(Some(detached))
}

/// Ends an attachment whose buffer JavaScript never got.
pub(crate) fn undo(env: Env, number: Number) {
    let Some(Attachment { held, buffer, .. }) = remove(number) else { return };
    let Some(segment) = held.take() else { return };
    let (_, range) = segment.let_go_in_place(&|| false);
    if let Some(buffer) = buffer {
        buffer.forget(env, range);
    }
}

/// The processes to wait for: none if this process holds the segment more than once.
fn unless_held_twice<'a>(segment: &AnySegment, others_leave: &'a dyn Fn() -> bool) -> &'a dyn Fn() -> bool {
    let is_same = |other: &AnySegment| other.key() == segment.key();
    if others_leave() && table::count(is_same) > 1 { &|| false } else { others_leave }
}

/// Ends every attachment where the environment ends, and waits for other processes as [`detach_after`] does; returns
/// how many counted segments that destroyed.
pub(crate) fn abandon_all(others_leave: &dyn Fn() -> bool) -> usize {
    let mut destroyed = 0;
    for number in all() {
        let Some(Attachment { held, buffer, .. }) = remove(number) else { continue };
        let others_leave = unless_held_twice(held.segment(), others_leave);
        let counted = held.is_counted();
        let Some(segment) = held.take() else { continue };
        let (detached, range) = segment.let_go_in_place(others_leave);
        destroyed += usize::from(counted && detached == Detached::Destroyed);
        if let Some(buffer) = buffer {
            buffer.abandon(range);
        }
    }
    destroyed
}
