//! One map for all processes: `shm-map` for JavaScript. What users give is checked in `lib/map`.
//!
//! A map is an object of the table that coordination has too (`sync::table`). Its key comes in memory that JavaScript
//! and we share, as UTF-8, and its value goes into memory of JavaScript's: no call makes an object where it need not.
//!
//! | module | what it is for |
//! |---|---|
//! | `open` | a map by its key |
//! | `values` | values, as they lie in the map and as JavaScript has them |
//! | `read` | what changes nothing |
//! | `near` | whether an entry is still what JavaScript keeps of it |
//! | `write` | what changes entries |
//! | `load` | loading what is not there, once for all processes |
//! | `owners` | who has a map open, and whether they live |
//! | `errors` | what can go wrong |

mod errors;
mod load;
mod near;
mod open;
mod owners;
mod read;
mod values;
mod write;

use crate::{
    failure::Failure,
    sync::{
        call::{Call, Entry, functions},
        objects::{Numbered, Objects, Part},
        shared::Shared,
    },
};
use near::Near;
use shm_map::{Map, MapOptions, View, layout::record::MAX_KEY};
use std::ffi::CStr;

/// How many words the memory for a key has: three bytes for each of as many characters as a key has bytes.
pub(crate) const KEY_WORDS: usize = MAX_KEY * 3 / size_of::<i32>() + 1;

pub(crate) const FUNCTIONS: &[(&CStr, Entry)] = functions! {
    c"mapMemoryFor": open::memory_for,
    c"openMap": open::open,
    c"mapKey": open::key,
    c"mapPool": read::pool,
    c"mapGet": read::get,
    c"mapGetAgain": read::get_again,
    c"mapGetNear": near::get,
    c"mapNote": near::note,
    c"mapIsUnchanged": near::is_unchanged,
    c"mapGetInto": read::get_into,
    c"mapHas": read::has,
    c"mapView": read::view,
    c"mapIsWhole": read::is_whole,
    c"mapNext": read::next,
    c"mapNextKey": read::next_key,
    c"mapGetStale": read::get_stale,
    c"mapLength": read::length,
    c"mapStats": read::stats,
    c"mapSet": write::set,
    c"mapPut": write::put,
    c"mapDelete": write::delete,
    c"mapTouch": write::touch,
    c"mapIncrement": write::increment,
    c"mapBeginLoad": load::begin,
    c"mapIsLoading": load::is_loading,
    c"mapFinishLoad": load::finish,
    c"mapAbandonLoad": load::abandon,
    c"mapOwner": owners::owner,
    c"mapIsAlive": owners::is_alive,
    c"mapClear": write::clear,
    c"mapInvalidate": write::invalidate,
};

/// What JavaScript is told: encodings, what an answer can be besides, and limits.
pub(crate) const CONSTANTS: &[(&str, i32)] = &[
    ("BUFFER", values::BUFFER as i32),
    ("NUMBER", values::NUMBER as i32),
    ("STRING", values::STRING as i32),
    ("UTF16", values::UTF16 as i32),
    ("NULL", values::NULL as i32),
    ("FALSE", values::FALSE as i32),
    ("TRUE", values::TRUE as i32),
    ("BIGINT", values::BIGINT as i32),
    ("UINT8_ARRAY", values::UINT8_ARRAY as i32),
    ("JSON", values::JSON as i32),
    ("V8", values::V8 as i32),
    ("NONE", values::NONE),
    ("LONG", values::LONG),
    ("SAME", values::SAME),
    ("MAX_KEY", MAX_KEY as i32),
    ("MAX_SHARDS", MapOptions::MAX_SHARDS as i32),
    ("MAX_TAGS", shm_map::layout::record::MAX_TAGS as i32),
    ("ALWAYS", write::ALWAYS),
    ("ABSENT", write::ABSENT),
    ("VERSION", write::VERSION),
    ("PRESENT", load::PRESENT),
    ("OURS", load::OURS),
    ("THEIRS", load::THEIRS),
];

/// A map that JavaScript has open.
#[derive(Debug)]
pub(crate) struct Opened {
    map: Map<'static>,
    /// What `view` shows.
    views: Numbered<View<'static>>,
    /// What JavaScript keeps.
    near: Near,
    /// What JavaScript loads.
    loads: Numbered<load::Loading>,
    /// A value on its way into the map.
    value: Vec<u8>,
    /// The key that an iteration is at.
    key: Vec<u8>,
}

impl Part for Opened {
    fn give_up(self: Box<Self>) -> Option<Shared> {
        load::abandon_all(*self);
        None
    }
}

/// The map that the first argument is.
fn opened<'t, const N: usize>(objects: &'t mut Objects, call: &Call<N>) -> Result<&'t mut Opened, Failure> {
    objects.get(call.handle(0))
}

/// The key, whose length is the second argument.
fn key<'k, const N: usize>(key: &'k Shared, call: &Call<N>) -> &'k [u8] {
    let length = call.handle(1).min(KEY_WORDS * size_of::<i32>());
    // SAFETY: so many bytes are there, and JavaScript, which alone writes them, waits for us.
    unsafe { key.bytes(length) }
}
