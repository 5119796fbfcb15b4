//! Loading missing entries, once for all processes.

use super::{
    Opened, key, opened,
    values::{KEY_LENGTH, VERSION, take},
    write::{tags, ttl},
};
use crate::{
    attachments,
    failure::Failure,
    sync::{call::Call, table::Table},
};
use shm_map::{EntryOptions, Load};
use shm_sync::Step;
use std::{ptr, time::Duration};

/// What a caller that wants to load has to do: look again; load; wait.
pub(super) const PRESENT: i32 = 0;
pub(super) const OURS: i32 = 1;
pub(super) const THEIRS: i32 = 2;

/// `mapBeginLoad(map, keyLength, timeout, tags)`: what to do. The further answers are, for one who loads, the load's
/// number; for one who waits, the value of the word to wait on, and where that is in the segment.
pub(super) fn begin(table: &mut Table, call: &Call<4>) -> Result<i32, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let number = objects.number(call.handle(0));
    let Opened { map, loads, .. } = opened(objects, call)?;
    let tags = tags(call, 3)?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    Ok(match map.begin_load(key(keys, call), ttl(call, 2).unwrap_or(Duration::MAX), &tags)? {
        Step::Ready(None) => PRESENT,
        Step::Ready(Some(load)) => {
            out.set_number(VERSION, loads.add(load) as f64);
            OURS
        }
        Step::Wait(pause) => {
            let (start, ..) =
                attachments::data(number).ok_or_else(|| Failure::internal("no such attachment"))?;
            out.set(KEY_LENGTH, pause.expected.cast_signed());
            out.set_number(VERSION, (ptr::from_ref(pause.cell).addr() - start.addr().get()) as f64);
            THEIRS
        }
    })
}

/// `mapFinishLoad(map, keyLength, encoding, value, ttl, tags, load)`: writes what was loaded; tells whether it is
/// stored.
pub(super) fn finish(table: &mut Table, call: &Call<7>) -> Result<bool, Failure> {
    let Table { objects, key: keys, .. } = table;
    let opened = opened(objects, call)?;
    let load = ended(opened, call.handle(6))?;
    let Opened { map, value, .. } = opened;
    let (encoding, tags) = (call.unsigned(2) as u8, tags(call, 5)?);
    take(value, call, encoding, 3)?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let options = EntryOptions { ttl: ttl(call, 4), tags: &tags, encoding };
    Ok(map.finish_load(key(keys, call), load, value, &options)?.is_some())
}

/// `mapAbandonLoad(map, keyLength, load)`: lets another one load.
pub(super) fn abandon(table: &mut Table, call: &Call<3>) -> Result<(), Failure> {
    let Table { objects, key: keys, .. } = table;
    let opened = opened(objects, call)?;
    let load = ended(opened, call.handle(2))?;
    Ok(opened.map.abandon_load(key(keys, call), load)?)
}

fn ended(opened: &mut Opened, load: usize) -> Result<Load, Failure> {
    opened.loads.remove(load).ok_or_else(|| Failure::internal("no such load"))
}
