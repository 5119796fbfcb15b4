//! Whether entries are still as JavaScript keeps them. JavaScript has a number for each value that it keeps.

use super::{
    Opened, key, opened,
    read::answer,
    values::{KIND, NONE, Room, SAME},
};
use crate::{
    failure::Failure,
    sync::{call::Call, table::Table},
};
use napi::sys;
use shm_map::Seen;
use std::ptr;

/// What is known of the entries.
#[derive(Debug, Default)]
pub(super) struct Near {
    noted: Vec<Option<Seen>>,
    /// The entry that was found last.
    last: Option<Seen>,
}

/// `mapIsUnchanged(map, number)`: whether the entry with this number is the one that was noted. It counts as a lookup
/// then.
pub(super) fn is_unchanged(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let Opened { map, near, .. } = opened(&mut table.objects, call)?;
    Ok(near.noted.get(call.handle(1)).is_some_and(|seen| seen.is_some_and(|seen| map.is_unchanged(&seen))))
}

/// `mapGetNear(map, keyLength, at, number, again)`: as `mapGet`; `again`: it does not count as a lookup. But if the
/// entry has the version that was noted with this number, it returns that, and notes where the entry is now.
pub(super) fn get(table: &mut Table, call: &Call<5>) -> Result<sys::napi_value, Failure> {
    let Table { objects, out, key: keys, pool, .. } = table;
    let Opened { map, near, .. } = opened(objects, call)?;
    let (room, key) = (Room::over(*pool).from(call.handle(2)), key(keys, call));
    near.last = None;
    let view = if call.flag(4) { map.view_again(key) } else { map.view(key) };
    let Some(view) = view? else {
        out.set(KIND, NONE);
        return Ok(ptr::null_mut());
    };
    let found = view.found();
    if let Some(Some(noted)) = near.noted.get_mut(call.handle(3))
        && noted.version() == found.version
    {
        *noted = view.seen();
        out.set(KIND, SAME);
        return Ok(ptr::null_mut());
    }
    room.fill(view.as_ptr(), found.length);
    let found = if view.is_whole() {
        near.last = Some(view.seen());
        Some(found)
    } else {
        map.get_again_with(key, |at, length| room.fill(at, length))?
    };
    answer(call, out, found, room)
}

/// `mapNote(map, number)`: notes the entry that `mapGetNear` found last. `false`: it was overwritten meanwhile, and
/// nothing is noted.
pub(super) fn note(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let Opened { near, .. } = opened(&mut table.objects, call)?;
    let number = call.handle(1);
    if near.noted.len() <= number {
        near.noted.resize(number + 1, None);
    }
    near.noted[number] = near.last.take();
    Ok(near.noted[number].is_some())
}
