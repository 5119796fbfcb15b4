//! The functions that JavaScript calls. `index.js` has checked types and ranges; this module decides what the values
//! mean.

use crate::{
    attachments::{self, Number},
    backends::{self, AnySegment, BackendId, within_a_second},
    calls,
    endings::{self, Children},
    failure::{Failure, check, or_throw},
    inspect,
    layout::Layout,
    shrinks, signals,
    values::{Attached, Info, JsKey, Made, from_key, to_key},
};
use napi::{
    Env,
    bindgen_prelude::{Function, Object, Result, Uint8Array},
    sys,
};
use napi_derive::napi;
use shm_api::{Access, CreateOptions, Detached, Key, Mode, racy_copy};
use std::{
    cell::Cell,
    num::NonZeroUsize,
    ptr::{self, NonNull},
};

const PERSIST: u32 = 1;
const RESERVE: u32 = 2;
const HUGE_PAGES: u32 = 4;
const VIEW: u32 = 8;
const READ_ONLY: u32 = 16;
const SIZED: u32 = 32;
const COUNTED: u32 = 64;
const POPULATE: u32 = 128;

const fn layout_of(flags: u32) -> Layout {
    if flags & SIZED != 0 { Layout::Sized } else { Layout::Whole }
}

thread_local! {
    /// `buffer.constants.MAX_LENGTH` of this thread's runtime.
    static MAX_LENGTH: Cell<f64> = const { Cell::new(0.0) };
}

/// The names of the backends that are built in; their places are their numbers.
#[napi]
pub fn backend_names() -> Vec<&'static str> {
    BackendId::ALL.iter().map(|backend| backend.name()).collect()
}

/// A number that identifies this library in its process: two copies of the JavaScript have the same one if they share
/// the addon.
#[napi]
pub fn address() -> f64 {
    (&raw const ADDRESS).addr() as f64
}

static ADDRESS: u8 = 0;

/// Prepares this thread for holding segments, as `runtime` needs it: `node`, `bun` or `deno`.
#[napi]
pub fn prepare(env: Env, max_length: f64, main_thread: bool, runtime: String) -> Result<()> {
    MAX_LENGTH.set(max_length);
    signals::prepare(&runtime);
    if main_thread && runtime == "deno" {
        endings::prepare_deno();
    }
    endings::prepare(&env, main_thread)
}

/// Installs the signal handlers for signals that have no listener.
#[napi]
pub fn arm_signals() {
    signals::arm();
}

/// Creates a segment of `size` bytes of data, attaches it, and returns what `make` makes of it. `None`: that key is
/// taken.
#[napi]
pub fn create(
    env: Env,
    backend: u32,
    key: Option<JsKey>,
    size: f64,
    mode: u32,
    flags: u32,
    make: Function<'_>,
) -> Result<Option<Made>> {
    answer(env, || {
        let backend = BackendId::from_index(backend)?;
        let key = key.map(to_key).transpose()?;
        let layout = layout_of(flags);
        let size = usize::try_from(size as u64).ok().and_then(|size| size.checked_add(layout.header()));
        let size = size.and_then(NonZeroUsize::new);
        let size = size.ok_or_else(|| Failure::Range("size does not fit this system's addresses".into()))?;
        let mode = Mode::new(mode).ok_or_else(|| Failure::Range("mode has other bits than 0777".into()))?;
        let options = CreateOptions::new(size)
            .mode(mode)
            .persist(flags & PERSIST != 0)
            .reserve(flags & RESERVE != 0)
            .huge_pages(flags & HUGE_PAGES != 0)
            .populate(flags & POPULATE != 0);
        // Before there is a segment, so that a signal finds the handler in the first call too.
        signals::arm_again();
        shrinks::arm(backend);
        let segment = backends::create(backend, key.as_ref(), &options)?;
        let data = layout.begin(&segment);
        let number = attachments::add(backend, segment, layout, data, flags & COUNTED != 0);
        hand_out(env, number, flags, &make, || undo_create(env, number))
    })
}

/// Attaches a segment, or finds this thread's attachment of it, by its number or else by the key, and returns what
/// `make` makes of it. `None`: there is no such segment, or no such attachment any more.
#[napi]
pub fn attach(
    env: Env,
    backend: Option<u32>,
    key: JsKey,
    flags: u32,
    make: Function<'_>,
    number: Option<Number>,
) -> Result<Option<Made>> {
    answer(env, || {
        if let Some(number) = number {
            attachments::name(number).ok_or(Failure::NotFound)?;
            populate(number, flags)?;
            return hand_out(env, number, flags, &make, || ());
        }
        let key = to_key(key)?;
        let access = if flags & READ_ONLY != 0 { Access::ReadOnly } else { Access::ReadWrite };
        let layout = layout_of(flags);
        let backend =
            backend.map(BackendId::from_index).transpose()?.or_else(|| attachments::backend_of(&key));
        let current = backend.and_then(|backend| attachments::find_current(backend, &key, access, layout));
        if let Some(number) = current {
            populate(number, flags)?;
            return hand_out(env, number, flags, &make, || ());
        }
        signals::arm_again();
        let segment = match backend {
            Some(backend) => attach_on(backend, &key, access),
            None => attach_anywhere(&key, access),
        }?;
        let data = layout.read(&segment)?;
        if flags & POPULATE != 0 {
            segment.populate()?;
        }
        let number = attachments::add(segment.backend(), segment, layout, data, false);
        hand_out(env, number, flags, &make, || attachments::undo(env, number))
    })
}

/// Maps all pages of an attachment if the caller asked for it.
fn populate(number: Number, flags: u32) -> std::result::Result<(), Failure> {
    if flags & POPULATE == 0 {
        return Ok(());
    }
    attachments::with_segment(number, |segment| segment.populate()).unwrap_or(Ok(())).map_err(Failure::from)
}

fn attach_on(backend: BackendId, key: &Key, access: Access) -> std::result::Result<AnySegment, Failure> {
    shrinks::arm(backend);
    backends::attach(backend, key, access)
}

/// Attaches on the backend that has such a segment; where both do, on the first.
fn attach_anywhere(key: &Key, access: Access) -> std::result::Result<AnySegment, Failure> {
    if access == Access::ReadOnly {
        // A backend that has no such views says so whether it has the segment or not.
        return attach_on(backend_of(None, key)?, key, access);
    }
    for backend in BackendId::ALL {
        match attach_on(*backend, key, access) {
            Err(Failure::NotFound) => {}
            attached => return attached,
        }
    }
    Err(Failure::NotFound)
}

/// The backend of that number; without one, that which an integer key means: on which this thread has it attached, else
/// which has such a segment; where both do, the first.
fn backend_of(backend: Option<u32>, key: &Key) -> std::result::Result<BackendId, Failure> {
    if let Some(backend) = backend {
        return BackendId::from_index(backend);
    }
    let (last, others) = BackendId::ALL.split_last().ok_or_else(|| Failure::internal("no backend"))?;
    let existing = || *others.iter().find(|backend| backends::has(**backend, key)).unwrap_or(last);
    Ok(attachments::backend_of(key).unwrap_or_else(existing))
}

/// Returns what `make` makes of an attachment; where that fails, `undo` has run.
fn hand_out(
    env: Env,
    number: Number,
    flags: u32,
    make: &Function<'_>,
    undo: impl FnOnce(),
) -> std::result::Result<Made, Failure> {
    match describe(env, number, flags) {
        Ok(attached) => attached.handed_to(env, make, undo),
        Err(failure) => {
            undo();
            Err(failure)
        }
    }
}

fn describe(env: Env, number: Number, flags: u32) -> std::result::Result<Attached, Failure> {
    let missing = || Failure::internal("no such attachment");
    let (backend, key, size) = attachments::describe(number).ok_or_else(missing)?;
    let view = flags & VIEW != 0;
    if view && size as f64 > MAX_LENGTH.get() {
        return Err(Failure::Range(format!(
            "segment {key} has {size} bytes, a buffer of this runtime at most {}: pass `view: false`",
            MAX_LENGTH.get()
        )));
    }
    let buffer = view.then(|| attachments::buffer(env, number)).transpose()?;
    Ok(Attached { number, backend: backend.index(), key: from_key(&key), size: size as f64, buffer })
}

/// A call that throws creates nothing, not even a segment that persists.
fn undo_create(env: Env, number: Number) {
    if !is_replaced(number)
        && let Some((backend, key)) = attachments::name(number)
    {
        let _ = backends::destroy(backend, &key);
    }
    attachments::undo(env, number);
}

/// Ends this thread's attachments of a key: 0 the segment is gone, n it outlives us, -1 it was not attached.
#[napi]
pub fn detach_key(env: Env, backend: Option<u32>, key: JsKey) -> Result<f64> {
    plain(env, || {
        let numbers = attached(backend, &to_key(key)?)?;
        numbers.into_iter().try_fold(-1.0, |_, number| detach(env, number))
    })
}

/// Ends one attachment, answering as `detachKey` does.
#[napi]
pub fn detach_number(env: Env, number: Number) -> Result<f64> {
    plain(env, || detach(env, number))
}

/// Ends attachments; tells of each whether that destroyed the segment (0), or how many still hold it. -1: it was gone
/// already, or not attached. As the main thread ends, it waits for those of its children that are about to leave.
#[napi]
pub fn leave(env: Env, numbers: Vec<Number>, children: Option<Children>) -> Result<Vec<f64>> {
    plain(env, || {
        endings::with_patience(&children.unwrap_or_default(), |others_leave| {
            let leave = |number| {
                Ok(match attachments::detach_after(env, number, others_leave)? {
                    Some(Detached::Gone) => -1.0,
                    detached => answer_of(detached),
                })
            };
            numbers.into_iter().map(leave).collect()
        })
    })
}

fn detach(env: Env, number: Number) -> std::result::Result<f64, Failure> {
    Ok(answer_of(attachments::detach(env, number)?))
}

fn answer_of(detached: Option<Detached>) -> f64 {
    match detached {
        None => -1.0,
        Some(Detached::Destroyed | Detached::Gone) => 0.0,
        Some(Detached::Outlives(holders)) => holders.get() as f64,
    }
}

/// Ends all of this thread's attachments; returns how many segments that destroyed.
#[napi]
pub fn detach_all(env: Env) -> Result<u32> {
    plain(env, || endings::detach_all(env).map(|count| count as u32))
}

/// The main thread's end: as `detachAll`, but waits for those of its children that are about to leave, and sweeps.
/// If it is to print the line, it prints how many counted segments were destroyed.
#[napi]
pub fn detach_at_exit(env: Env, tell: bool, children: Children) -> Result<()> {
    plain(env, || {
        let destroyed = endings::detach_at_exit(env, children);
        if tell {
            endings::tell(destroyed);
        }
        Ok(())
    })
}

/// Prints how many segments were destroyed, where it is not zero.
#[napi]
pub fn tell(destroyed: u32) {
    endings::tell(destroyed as usize);
}

/// The main thread's end, where other listeners are still to run.
#[napi]
pub fn leave_to_process_exit(tell: bool, children: Children) {
    endings::leave_to_process_exit(tell, children);
}

/// Destroys a segment, even if processes hold it; false: there is none.
#[napi]
pub fn destroy(env: Env, backend: Option<u32>, key: JsKey) -> Result<bool> {
    plain(env, || {
        let key = to_key(key)?;
        match backends::destroy(backend_of(backend, &key)?, &key).map_err(Failure::from) {
            Ok(()) => Ok(true),
            Err(Failure::NotFound) => Ok(false),
            Err(failure) => Err(failure),
        }
    })
}

/// Destroys a segment if no process holds it, even if another program created it: 0 it is gone, n it has holders, -1
/// there is none.
#[napi]
pub fn destroy_unheld(env: Env, backend: Option<u32>, key: JsKey) -> Result<f64> {
    plain(env, || {
        let key = to_key(key)?;
        match backends::destroy_unheld(backend_of(backend, &key)?, &key).map_err(Failure::from) {
            Err(Failure::NotFound) => Ok(-1.0),
            destroyed => destroyed.map(|detached| answer_of(Some(detached))),
        }
    })
}

/// Tells of one segment. `None`: there is none.
#[napi(ts_return_type = "Info | null")]
pub fn info(env: Env, backend: Option<u32>, key: JsKey) -> Result<Option<Info>> {
    answer(env, || {
        let key = to_key(key)?;
        let backend = backend_of(backend, &key)?;
        Ok(Info::new(backend, backends::info(backend, &key)?))
    })
}

/// Copies from a segment into `target`, without holding it; returns how many bytes. `None`: there is none.
#[napi]
pub fn peek(
    env: Env,
    backend: Option<u32>,
    key: JsKey,
    offset: f64,
    mut target: Uint8Array,
) -> Result<Option<f64>> {
    answer(env, || {
        let key = to_key(key)?;
        // SAFETY: JavaScript made it for this call, and waits for us.
        let target = unsafe { target.as_mut() };
        let count = backends::peek(backend_of(backend, &key)?, &key, offset as usize, target)?;
        Ok(count as f64)
    })
}

/// Tells what stands in a segment, without holding it: the structures that begin in the first `within` bytes, of which
/// `most` are looked at. `None`: there is no such segment.
#[napi(ts_return_type = "object[] | null")]
pub fn inspect(
    env: Env,
    backend: Option<u32>,
    key: JsKey,
    within: f64,
    most: u32,
) -> Result<Option<Vec<Object<'static>>>> {
    answer(env, || {
        let key = to_key(key)?;
        inspect::inspect(&env, backend_of(backend, &key)?, &key, within as usize, most as usize)
    })
}

/// Tells of every segment of the built-in backends.
#[napi]
pub fn list(env: Env) -> Result<Vec<Info>> {
    plain(env, || {
        let mut all = Vec::new();
        for backend in BackendId::ALL {
            all.extend(backends::list(*backend)?.into_iter().map(|info| Info::new(*backend, info)));
        }
        Ok(all)
    })
}

/// Frees what crashes left behind; returns how many segments.
#[napi]
pub fn sweep(env: Env) -> Result<u32> {
    plain(env, || {
        BackendId::ALL.iter().try_fold(0, |sum, backend| Ok(sum + backends::sweep(*backend)? as u32))
    })
}

/// Copies from an attached segment, named by number or by key, into `target`; returns how many bytes. -1: it is not
/// attached.
#[napi]
pub fn read(
    env: Env,
    backend: Option<u32>,
    key: JsKey,
    number: Option<Number>,
    offset: f64,
    target: Object<'_>,
) -> Result<f64> {
    plain(env, || copy(env, found(backend, key, number)?, offset, &target, Direction::FromSegment))
}

/// Copies `source` into an attached segment, as [`read`].
#[napi]
pub fn write(
    env: Env,
    backend: Option<u32>,
    key: JsKey,
    number: Option<Number>,
    offset: f64,
    source: Object<'_>,
) -> Result<f64> {
    plain(env, || copy(env, found(backend, key, number)?, offset, &source, Direction::IntoSegment))
}

fn found(
    backend: Option<u32>,
    key: JsKey,
    number: Option<Number>,
) -> std::result::Result<Option<Number>, Failure> {
    if number.is_some() {
        return Ok(number);
    }
    Ok(attached(backend, &to_key(key)?)?.first().copied())
}

/// This thread's attachments of a key.
fn attached(backend: Option<u32>, key: &Key) -> std::result::Result<Vec<Number>, Failure> {
    let backend = backend.map(BackendId::from_index).transpose()?.or_else(|| attachments::backend_of(key));
    Ok(backend.map_or_else(Vec::new, |backend| attachments::of_key(backend, key)))
}

/// Whether an attachment's key has gone or leads to another segment by now, or the attachment itself has gone, and with
/// it what its key meant.
#[napi]
pub fn is_replaced(number: Number) -> bool {
    attachments::with_segment(number, |segment| !segment.is_current()).unwrap_or(true)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    FromSegment,
    IntoSegment,
}

/// `bytes` is a `Uint8Array`, which may itself be a view of the same segment.
fn copy(
    env: Env,
    number: Option<Number>,
    offset: f64,
    bytes: &Object<'_>,
    direction: Direction,
) -> std::result::Result<f64, Failure> {
    use napi::JsValue;
    let Some(number) = number else { return Ok(-1.0) };
    let (mut len, mut start) = (0, ptr::null_mut());
    // SAFETY: the pointers are ours to write to; what we do not ask for is null.
    check(unsafe {
        sys::napi_get_typedarray_info(
            env.raw(),
            bytes.raw(),
            ptr::null_mut(),
            &raw mut len,
            &raw mut start,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    })?;
    let copied = attachments::with_segment(number, |segment| {
        if direction == Direction::IntoSegment && segment.access() == Access::ReadOnly {
            return Err(Failure::Value(format!(
                "segment {} is attached read-only: get it without `readOnly`",
                segment.key()
            )));
        }
        shrinks::check_sound(segment)?;
        let offset = offset as usize;
        let count = len.min(segment.size().saturating_sub(offset));
        if count > 0 {
            // SAFETY: offset < size, so this stays inside the segment.
            let inside = unsafe { segment.as_ptr().add(offset) };
            let outside = NonNull::new(start.cast()).ok_or_else(|| Failure::internal("no such bytes"))?;
            let (from, to) = match direction {
                Direction::FromSegment => (inside, outside),
                Direction::IntoSegment => (outside, inside),
            };
            // SAFETY: `count` bytes are valid on both sides. No reference to either exists in Rust, and JavaScript,
            // whose array it is, waits for us.
            unsafe { racy_copy(from, to, count) };
        }
        shrinks::check_sound(segment)?;
        Ok(count as f64)
    });
    copied.unwrap_or(Ok(-1.0))
}

/// A missing segment and a taken key are answers; every other failure is thrown.
fn answer<T>(env: Env, work: impl FnOnce() -> std::result::Result<T, Failure>) -> Result<Option<T>> {
    plain(env, || match work() {
        Err(Failure::NotFound | Failure::Exists) => Ok(None),
        result => result.map(Some),
    })
}

/// One call: it waits at most a second for other processes, and no signal interrupts it half-way.
fn plain<T>(env: Env, work: impl FnOnce() -> std::result::Result<T, Failure>) -> Result<T> {
    or_throw(env, || calls::whole(|| within_a_second(work)))
}
