//! Opening a map by its key.

use super::{Opened, near::Near};
use crate::{
    attachments,
    backends::{self, AnySegment, BackendId, within_a_second},
    calls,
    failure::Failure,
    layout::Layout,
    shrinks, signals,
    sync::{call::Call, objects::Numbered, place::Place, table::Table},
    values::{JsKey, from_key, to_key},
};
use napi::{
    Env,
    bindgen_prelude::{FromNapiValue, ToNapiValue},
    sys,
};
use shm_api::{Access, CreateOptions, Key, Mode};
use shm_map::{Map, MapError, MapOptions};
use shm_sync::Region;
use std::time::Duration;

// As in `functions`.
const PERSIST: u32 = 1;
const HUGE_PAGES: u32 = 4;
const READ_ONLY: u32 = 16;

/// `mapMemoryFor(entries, key, value, shards)`: bytes. 0 shards: as many as a map has by default.
pub(super) fn memory_for(_: &mut Table, call: &Call<4>) -> Result<f64, Failure> {
    let (entries, [key, value]) = (call.unsigned(0), [1, 2].map(|index| call.number(index) as usize));
    Ok(match call.unsigned(3) {
        0 => MapOptions::memory_for(entries, key, value),
        shards => MapOptions::memory_for_shards(shards, entries, key, value),
    } as f64)
}

/// `openMap(backend, key, flags, mode, lockTimeout, memory, entries, shards, evict, maxValue, tagSlots)`: the map, its
/// attachment, how much memory it has, the mode of its segment, and whether another user owns that (1) or not (0).
/// Without a key, one is made under a random key. What is 0 was left out; `evict` is 1 for yes and 2 for no.
pub(super) fn open(table: &mut Table, call: &Call<11>) -> Result<[f64; 5], Failure> {
    calls::whole(|| within_a_second(|| open_whole(table, call)))
}

fn open_whole(table: &mut Table, call: &Call<11>) -> Result<[f64; 5], Failure> {
    let (env, backend, flags) = (call.env(), BackendId::from_index(call.unsigned(0))?, call.unsigned(2));
    let key = key_of(env, call.value(1))?;
    let options = options_of(call);
    let mode =
        Mode::new(call.unsigned(3)).ok_or_else(|| Failure::internal("mode has other bits than 0777"))?;
    let shape = |create: CreateOptions| {
        create.mode(mode).persist(flags & PERSIST != 0).huge_pages(flags & HUGE_PAGES != 0)
    };
    // Before there is a segment, so that a signal finds the handler in the first call too.
    signals::arm_again();
    shrinks::arm(backend);
    let segment = match &key {
        Some(key) if flags & READ_ONLY != 0 => match backends::attach(backend, key, Access::ReadOnly) {
            Err(Failure::NotFound) => Err(MapError::Fresh { key: Some(key.clone()) }.into()),
            attached => attached,
        }?,
        key => backends::open_map(backend, key.as_ref(), &options, shape)?,
    };
    let data = Layout::Map.read(&segment)?;
    let number = attachments::add(backend, segment, Layout::Map, data, false);
    let opened = over(table, env, number, &options, call.number(4));
    if opened.is_err() {
        attachments::undo(env, number);
    }
    opened
}

fn over(
    table: &mut Table,
    env: Env,
    number: attachments::Number,
    options: &MapOptions,
    lock_timeout: f64,
) -> Result<[f64; 5], Failure> {
    let gone = || Failure::internal("no such attachment");
    let (start, size, access) = attachments::data(number).ok_or_else(gone)?;
    let (backend, key) = attachments::name(number).ok_or_else(gone)?;
    // SAFETY: it stays mapped, and the map is dropped before the segment is let go: see `sync::table::leave`.
    let region = unsafe { Region::from_raw(start, size, access) };
    let (map, owner) = if access == Access::ReadOnly {
        (Map::open_read_only(region, options).map_err(|error| error.under(&key))?, None)
    } else {
        let (live, owner) = Place { number, region }.live(&env)?;
        (Map::open(region, options, live)?.for_owner(owner), Some(owner))
    };
    let map = map.lock_timeout(Duration::from_secs_f64((lock_timeout / 1000.0).clamp(0.0, MOST_SECONDS)));
    let memory = map.stats().memory;
    // One that was destroyed or replaced meanwhile tells nothing.
    let info = backends::info(backend, &key);
    let is_current = attachments::with_segment(number, AnySegment::is_current).unwrap_or(false);
    let (mode, is_of_other) = info
        .ok()
        .filter(|_| is_current)
        .map_or((0o777, false), |info| (info.mode.bits(), backends::is_of_other(backend, &info)));
    let opened = Opened {
        map,
        views: Numbered::default(),
        near: Near::default(),
        loads: Numbered::default(),
        value: Vec::new(),
        key: Vec::new(),
    };
    let handle = table.objects.add(number, owner, opened);
    Ok([handle.into(), number.into(), memory as f64, mode.into(), is_of_other.into()])
}

/// A year: as long as a wait can be.
const MOST_SECONDS: f64 = 31_536_000.0;

fn key_of(env: Env, value: sys::napi_value) -> Result<Option<Key>, Failure> {
    // SAFETY: a value of this call.
    let key = unsafe { Option::<JsKey>::from_napi_value(env.raw(), value) }?;
    key.map(to_key).transpose()
}

fn options_of(call: &Call<11>) -> MapOptions {
    let given = |index| Some(call.number(index)).filter(|number| *number != 0.0);
    let short = |index| given(index).map(|number| number as u32);
    MapOptions {
        memory: given(5).map(|memory| memory as u64),
        entries: short(6),
        shards: short(7),
        evict: given(8).map(|evict| evict == 1.0),
        max_value: short(9),
        tag_slots: short(10),
    }
}

/// `mapKey(attachment)`: its key.
pub(super) fn key(_: &mut Table, call: &Call<1>) -> Result<sys::napi_value, Failure> {
    let (_, key) =
        attachments::name(call.unsigned(0)).ok_or_else(|| Failure::internal("no such attachment"))?;
    // SAFETY: the environment that calls.
    Ok(unsafe { JsKey::to_napi_value(call.env().raw(), from_key(&key)) }?)
}
