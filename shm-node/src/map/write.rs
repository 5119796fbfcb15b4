//! What changes a map's entries.

use super::{Opened, key, opened, read::tell_expiry, values::take};
use crate::{
    failure::Failure,
    sync::{call::Call, table::Table},
};
use napi::bindgen_prelude::FromNapiValue;
use shm_map::EntryOptions;
use std::time::Duration;

/// When to write: always; if there is no such entry; if the entry has a version.
pub(super) const ALWAYS: i32 = 0;
pub(super) const ABSENT: i32 = 1;
pub(super) const VERSION: i32 = 2;

/// Milliseconds, as an argument has them; 0: for ever.
pub(super) fn ttl<const N: usize>(call: &Call<N>, index: usize) -> Option<Duration> {
    // A number that is too large for the integer becomes its largest, and that is for ever too.
    match call.number(index).ceil() as u64 {
        0 => None,
        ttl => Some(Duration::from_millis(ttl)),
    }
}

/// `mapSet(map, keyLength, encoding, value, ttl)`: writes an entry. 0 ms: until it is deleted.
pub(super) fn set(table: &mut Table, call: &Call<5>) -> Result<(), Failure> {
    let Table { objects, key: keys, .. } = table;
    let Opened { map, value, .. } = opened(objects, call)?;
    let encoding = call.unsigned(2) as u8;
    take(map, value, call, encoding, 3)?;
    map.insert(key(keys, call), value, &EntryOptions { ttl: ttl(call, 4), tags: &[], encoding })?;
    Ok(())
}

/// `mapPut(map, keyLength, encoding, value, ttl, tags, when, version)`: the same with tags, and if something is so;
/// tells whether it was.
pub(super) fn put(table: &mut Table, call: &Call<8>) -> Result<bool, Failure> {
    let Table { objects, key: keys, .. } = table;
    let Opened { map, value, .. } = opened(objects, call)?;
    let encoding = call.unsigned(2) as u8;
    take(map, value, call, encoding, 3)?;
    let tags = tags(call, 5)?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let options = EntryOptions { ttl: ttl(call, 4), tags: &tags, encoding };
    let key = key(keys, call);
    let written = match call.integer(6) {
        ABSENT => map.add(key, value, &options)?,
        VERSION => map.replace(key, call.number(7) as u64, value, &options)?,
        _ => Some(map.insert(key, value, &options)?),
    };
    Ok(written.is_some())
}

pub(super) fn tags<const N: usize>(call: &Call<N>, index: usize) -> Result<Vec<String>, Failure> {
    // SAFETY: a value of this call.
    Ok(unsafe { Option::<Vec<String>>::from_napi_value(call.env().raw(), call.value(index)) }?
        .unwrap_or_default())
}

/// `mapDelete(map, keyLength)`: removes an entry; tells whether there was one.
pub(super) fn delete(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let Table { objects, key: keys, .. } = table;
    Ok(opened(objects, call)?.map.remove(key(keys, call))?)
}

/// `mapTouch(map, keyLength, ttl)`: sets how long an entry is valid from now on; tells whether there is one.
pub(super) fn touch(table: &mut Table, call: &Call<3>) -> Result<bool, Failure> {
    let Table { objects, key: keys, .. } = table;
    Ok(opened(objects, call)?.map.touch(key(keys, call), ttl(call, 2))?)
}

/// `mapIncrement(map, keyLength, by, ttl)`: adds to a number, and gives what it is then. The further answer is when it
/// expires.
pub(super) fn increment(table: &mut Table, call: &Call<4>) -> Result<f64, Failure> {
    let Table { objects, out, key: keys, .. } = table;
    let counted = opened(objects, call)?.map.increment(key(keys, call), call.number(2), ttl(call, 3))?;
    tell_expiry(out, counted.expires);
    Ok(counted.value)
}

/// `mapClear(map)`: removes all entries.
pub(super) fn clear(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    Ok(opened(&mut table.objects, call)?.map.clear()?)
}

/// `mapInvalidate(map, tags)`: removes all entries that have one of these tags.
pub(super) fn invalidate(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    let tags = tags(call, 1)?;
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    Ok(opened(&mut table.objects, call)?.map.invalidate_tags(&tags)?)
}
