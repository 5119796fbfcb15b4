//! Making the header of a map, and checking a header that exists. Each word is set once, from zero, always in the same
//! order, and the magic last. So several processes can do it at once, and if one is killed in the middle, the next
//! completes the header.

use crate::protocol::{
    geometry::{Geometry, Sizes},
    layout::{
        MAGIC, VERSION,
        header::{
            BUCKETS, CACHE, ENTRIES, GHOSTS, KEEP, KIND, LIVE, MAGIC as AT_MAGIC, MAIN, MAX_VALUE, MEMORY,
            SEED, SHARDS, SMALL, TAG_SLOTS, TAGS,
        },
    },
    memory::{AtomicU32, AtomicU64, Memory, Ordering},
};
use crate::{MapError, MapOptions, place::Place};
use shm_lifetime::fault;
use shm_sync::{Live, SyncError};

/// Whether there is a map here; an error if the bytes are something else.
pub(crate) fn is_made(place: Place<'_>) -> Result<bool, MapError> {
    // Acquire: with the magic comes the rest of the header.
    let found = place.word(AT_MAGIC).load(Ordering::Acquire);
    match found.to_le_bytes() {
        [0, 0, 0, 0] => Ok(false),
        _ if found == MAGIC => Ok(true),
        [b's', b'y', b'H', found] => Err(MapError::Version { found, known: VERSION }),
        _ => Err(MapError::Foreign { found }),
    }
}

/// Makes the map, or completes a map that another process has begun with the same options.
pub(crate) fn make(place: Place<'_>, sizes: &Sizes, live: &Live) -> Result<(), MapError> {
    if set_once(place.word(LIVE), live.file_id()) != live.file_id() {
        return Err(SyncError::OtherLiveFile { what: "map" }.into());
    }
    let found = set_once_long(place.long(MEMORY), sizes.memory);
    let differs = |option, found, wanted| {
        if found == wanted { Ok(()) } else { Err(MapError::Options { option, found, wanted }) }
    };
    differs("memory", found, sizes.memory)?;
    let kind = if sizes.evict { CACHE } else { KEEP };
    let found = set_once(place.word(KIND), kind);
    differs("evict", (found == CACHE).into(), sizes.evict.into())?;
    for (option, offset, wanted) in [
        ("entries", ENTRIES, sizes.entries),
        ("shards", SHARDS, sizes.shards),
        ("max_value", MAX_VALUE, sizes.max_value),
        ("tag_slots", TAG_SLOTS, sizes.tag_slots),
        ("buckets", BUCKETS, sizes.buckets),
        ("a small ring", SMALL, sizes.small + 1),
        ("a main ring", MAIN, sizes.main),
        ("a ghost table", GHOSTS, sizes.ghosts + 1),
    ] {
        differs(option, set_once(place.word(offset), wanted).into(), wanted.into())?;
    }
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(5);
        shm_api::OsError::new("getrandom", errno)
            .advise("A map needs a random seed, and the system gave none.")
    })?;
    let seed = u128::from_le_bytes(seed);
    set_once_long(place.long(SEED), seed as u64 | 1);
    set_once_long(place.long(SEED + 8), (seed >> 64) as u64 | 1);
    match set_once(place.word(AT_MAGIC), MAGIC) {
        MAGIC => Ok(()),
        found => Err(MapError::Foreign { found }),
    }
}

/// Returns the geometry of an existing map, if it was made with these options.
pub(crate) fn geometry(place: Place<'_>, size: usize, options: &MapOptions) -> Result<Geometry, MapError> {
    // Read once; the magic came after them.
    let word = |offset| place.word(offset).load(Ordering::Relaxed);
    let long = |offset| place.long(offset).load(Ordering::Relaxed);
    let kind = word(KIND);
    let impossible = MapError::Damaged("its header is impossible");
    let sizes = Sizes {
        memory: long(MEMORY),
        entries: word(ENTRIES),
        shards: word(SHARDS),
        evict: kind == CACHE,
        max_value: word(MAX_VALUE),
        tag_slots: word(TAG_SLOTS),
        buckets: word(BUCKETS),
        small: word(SMALL).checked_sub(1).ok_or(impossible.clone())?,
        main: word(MAIN),
        ghosts: word(GHOSTS).checked_sub(1).ok_or(impossible.clone())?,
    };
    if kind != CACHE && kind != KEEP {
        return Err(impossible);
    }
    options.check(&sizes)?;
    sizes.geometry([long(SEED), long(SEED + 8)], size).ok_or(impossible)
}

/// An error where there is no room for a header.
pub(crate) fn check_room(size: usize) -> Result<(), MapError> {
    if size >= TAGS {
        return Ok(());
    }
    Err(SyncError::TooSmall { offset: 0, needed: TAGS, size }.into())
}

fn set_once(word: &AtomicU32, wanted: u32) -> u32 {
    fault::step();
    word.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire)
        .map_or_else(|found| found, |_| wanted)
}

fn set_once_long(word: &AtomicU64, wanted: u64) -> u64 {
    fault::step();
    word.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire)
        .map_or_else(|found| found, |_| wanted)
}
