//! What changes nothing in a map.

use super::{
    Opened, key, opened,
    values::{EXPIRES, KEY_LENGTH, KIND, NONE, Room, VERSION, give},
};
use crate::{
    attachments,
    failure::Failure,
    sync::{call::Call, shared::Shared, table::Table},
};
use napi::sys;
use shm_map::{Cursor, Found, Stats};
use std::{
    ptr::{self, NonNull},
    time::Duration,
};

/// `mapPool(array)`: where values go from now on. JavaScript keeps it, and sees before each call that it was not moved.
pub(super) fn pool(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    table.pool = call.bytes(0);
    Ok(())
}

/// `mapGet(map, keyLength, at)`: an entry's value. The further answers are what it is, its version, and when it
/// expires. Bytes are in the pool then, and the answer is how many.
pub(super) fn get(table: &mut Table, call: &Call<3>) -> Result<sys::napi_value, Failure> {
    let Table { objects, out, key: keys, pool, .. } = table;
    let opened = opened(objects, call)?;
    let room = Room::over(*pool).from(call.handle(2));
    let found = opened.map.get_with(key(keys, call), |start, length| room.fill(start, length))?;
    answer(call, out, found, room)
}

/// `mapGetAgain(map, keyLength, target, at, room)`: the same, into an array. It is the same lookup once more, and
/// does not count.
pub(super) fn get_again(table: &mut Table, call: &Call<5>) -> Result<sys::napi_value, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let opened = opened(objects, call)?;
    let room = Room::of(call, 2);
    let found = opened.map.get_again_with(key(keys, call), |start, length| room.fill(start, length))?;
    answer(call, out, found, room)
}

pub(super) fn answer<const N: usize>(
    call: &Call<N>,
    out: &Shared,
    found: Option<Found>,
    room: Room,
) -> Result<sys::napi_value, Failure> {
    let Some(found) = found else {
        out.set(KIND, NONE);
        return Ok(ptr::null_mut());
    };
    out.set_number(VERSION, found.version as f64);
    tell_expiry(out, found.expires);
    give(call.env().raw(), out, &found, room)
}

pub(super) fn tell_expiry(out: &Shared, expires: Option<u64>) {
    out.set_number(EXPIRES, expires.map_or(f64::INFINITY, |expires| expires as f64));
}

/// `mapGetStale(map, keyLength, target, at, room, milliseconds)`: as `mapGet`, of an entry too that has expired so long
/// ago at most, and lies there still.
pub(super) fn get_stale(table: &mut Table, call: &Call<6>) -> Result<sys::napi_value, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let Opened { map, value, .. } = opened(objects, call)?;
    let (room, stale) = (Room::of(call, 2), Duration::from_millis(call.number(5) as u64));
    let found = map.get_stale(key(keys, call), stale, value)?;
    room.fill(NonNull::from(&mut **value).cast(), value.len());
    answer(call, out, found, room)
}

/// `mapGetInto(map, keyLength, target)`: how many bytes an entry's value has, whatever it is; it is in the target if it
/// fits. `NONE`: there is none.
pub(super) fn get_into(table: &mut Table, call: &Call<3>) -> Result<f64, Failure> {
    let Table { objects, key: keys, .. } = table;
    let opened = opened(objects, call)?;
    let room = Room::over(call.bytes(2));
    let found = opened.map.get_with(key(keys, call), |start, length| room.fill(start, length))?;
    Ok(found.map_or(NONE.into(), |found| found.length as f64))
}

/// `mapHas(map, keyLength)`: whether there is an entry.
pub(super) fn has(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let Table { objects, key: keys, .. } = table;
    Ok(opened(objects, call)?.map.contains(key(keys, call))?)
}

/// `mapView(map, keyLength)`: an entry's value where it lies, by a number for `mapIsWhole`; `NONE`: there is none. The
/// further answers are how many bytes it has, and where they begin in the segment.
pub(super) fn view(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let number = objects.number(call.handle(0));
    let Opened { map, views, .. } = opened(objects, call)?;
    let Some(view) = map.view(key(keys, call))? else { return Ok(NONE) };
    let (start, ..) = attachments::data(number).ok_or_else(|| Failure::internal("no such attachment"))?;
    out.set_number(VERSION, view.found().length as f64);
    out.set_number(EXPIRES, (view.as_ptr().addr().get() - start.addr().get()) as f64);
    Ok(views.add(view) as i32)
}

/// `mapIsWhole(map, view)`: whether the bytes that were read are the value. The view ends then.
pub(super) fn is_whole(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let view = opened(&mut table.objects, call)?.views.remove(call.handle(1));
    Ok(view.is_some_and(|view| view.is_whole()))
}

/// `mapNext(map, cursor, target, at, room)`: the next entry's value, as `mapGet` gives it. Its key is where keys are;
/// the further answers are what the value is, how long the key is, and where to go on.
pub(super) fn next(table: &mut Table, call: &Call<5>) -> Result<sys::napi_value, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let Opened { map, key, .. } = opened(objects, call)?;
    let (mut cursor, room) = (cursor(call), Room::of(call, 2));
    let found = map.next_with(&mut cursor, key, |start, length| room.fill(start, length))?;
    let answer = answer(call, out, found, room)?;
    tell_key(out, keys, key, cursor);
    Ok(answer)
}

/// `mapNextKey(map, cursor)`: the length of the next entry's key, or `NONE`; otherwise as `mapNext`.
pub(super) fn next_key(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let Opened { map, key, .. } = opened(objects, call)?;
    let mut cursor = cursor(call);
    let found = map.next_key(&mut cursor, key)?;
    tell_key(out, keys, key, cursor);
    Ok(found.map_or(NONE, |_| key.len() as i32))
}

fn cursor<const N: usize>(call: &Call<N>) -> Cursor {
    Cursor::of_number(call.number(1) as u64)
}

fn tell_key(out: &Shared, keys: &Shared, key: &[u8], cursor: Cursor) {
    // SAFETY: a key is shorter than that memory, and JavaScript waits for us.
    unsafe { keys.put(key) };
    out.set(KEY_LENGTH, key.len() as i32);
    out.set_number(VERSION, cursor.number() as f64);
}

/// `mapLength(map)`: how many entries there are.
pub(super) fn length(table: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(opened(&mut table.objects, call)?.map.len() as f64)
}

/// `mapStats(map)`: what all processes have done, in the order of `lib/map/shared-map.js`.
pub(super) fn stats(table: &mut Table, call: &Call<1>) -> Result<[f64; 9], Failure> {
    let Stats { entries, memory, used, sets, evictions, expired, hits, misses, owners_died, .. } =
        opened(&mut table.objects, call)?.map.stats();
    let all = [entries, memory, used, sets, evictions, expired, hits, misses, owners_died];
    Ok(all.map(|count| count as f64))
}
