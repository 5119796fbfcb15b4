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
use shm_map::{EntryOptions, LOCK_TIMEOUT, Load};
use shm_sync::Step;
use std::{ptr, time::Duration};

/// An entry that JavaScript loads.
#[derive(Debug)]
pub(super) struct Loading {
    key: Box<[u8]>,
    load: Load,
}

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
    let (key, tags) = (key(keys, call), tags(call, 3)?);
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    Ok(match map.begin_load(key, ttl(call, 2).unwrap_or(Duration::MAX), &tags)? {
        Step::Ready(None) => PRESENT,
        Step::Ready(Some(load)) => {
            out.set_number(VERSION, loads.add(Loading { key: key.into(), load }) as f64);
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

/// `mapIsLoading(map, load)`: whether nothing has come in between, and its time is not over.
pub(super) fn is_loading(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let Opened { map, loads, .. } = opened(&mut table.objects, call)?;
    let Loading { key, load } = loads.get(call.handle(1)).ok_or_else(no_load)?;
    Ok(map.is_loading(key, *load)?)
}

/// `mapFinishLoad(map, load, encoding, value, ttl, tags)`: writes what was loaded; tells whether it is stored. After an
/// error the load has to be abandoned.
pub(super) fn finish(table: &mut Table, call: &Call<6>) -> Result<bool, Failure> {
    let Opened { map, loads, value, .. } = opened(&mut table.objects, call)?;
    let number = call.handle(1);
    let Loading { key, load } = loads.get(number).ok_or_else(no_load)?;
    let (encoding, tags) = (call.unsigned(2) as u8, tags(call, 5)?);
    take(map, value, call, encoding, 3)?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let options = EntryOptions { ttl: ttl(call, 4), tags: &tags, encoding };
    let stored = map.finish_load(key, *load, value, &options)?;
    loads.remove(number);
    Ok(stored.is_some())
}

/// `mapAbandonLoad(map, load)`: lets another one load. After an error it can be called again.
pub(super) fn abandon(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    let Opened { map, loads, .. } = opened(&mut table.objects, call)?;
    let number = call.handle(1);
    let Loading { key, load } = loads.get(number).ok_or_else(no_load)?;
    map.abandon_load(key, *load)?;
    loads.remove(number);
    Ok(())
}

fn no_load() -> Failure {
    Failure::internal("no such load")
}

/// Lets others load what this map loads, because nobody will finish it here.
pub(super) fn abandon_all(opened: Opened) {
    let Opened { map, mut loads, .. } = opened;
    let map = map.lock_timeout(LOCK_TIMEOUT);
    // A stopped writer delays this once. The loads end when their time is over.
    loads.drain().all(|Loading { key, load }| map.abandon_load(&key, load).is_ok());
}
