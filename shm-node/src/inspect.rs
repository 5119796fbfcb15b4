//! What stands in a segment, as objects that the command line prints. `shm-sync` and `shm-map` say what words mean.

use crate::{
    backends::{self, BackendId},
    failure::Failure,
};
use napi::{
    Env,
    bindgen_prelude::{Null, Object, ToNapiValue},
};
use shm_api::{AttachError, Key, SegmentInfo};
use shm_map::{MapError, MapOptions, Stats};
use shm_sync::{
    Live, Owner,
    inspect::{Found, Held, State},
};
use std::ops::RangeInclusive;

type Answer<T> = Result<T, Failure>;

/// The structures in the first `within` bytes of a segment: a map, or others.
pub(crate) fn inspect(
    env: &Env,
    backend: BackendId,
    key: &Key,
    within: usize,
    most: usize,
) -> Answer<Vec<Object<'static>>> {
    let info = backends::info(backend, key)?;
    let size = usize::try_from(info.size).unwrap_or(usize::MAX);
    let mut failed: Option<AttachError> = None;
    let mut source = |offset: usize, target: &mut [u8]| {
        backends::peek(backend, key, offset, target).unwrap_or_else(|error| {
            failed = Some(error);
            0
        })
    };
    let map = shm_map::inspect::describe(&mut source, size);
    let others = match map {
        Err(MapError::Foreign { .. } | MapError::Fresh { .. } | MapError::Sync(_)) => {
            shm_sync::inspect::find(&mut source, size, within, most)
        }
        _ => Vec::new(),
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut shown = Shown { env, info, live: None };
    match map {
        Ok(map) => Ok(vec![shown.map(&map)?]),
        Err(error @ (MapError::Version { .. } | MapError::Damaged(_))) => {
            let mut object = shown.begin("map", 0, size, 0)?;
            object.set("problem", error.to_string())?;
            Ok(vec![object])
        }
        Err(_) => others.iter().map(|found| shown.structure(found)).collect(),
    }
}

/// Makes objects of what was found.
struct Shown<'e> {
    env: &'e Env,
    info: SegmentInfo,
    /// The live file that was needed last, by its id.
    live: Option<(u32, Option<Meeting>)>,
}

/// A live file, and whose owners are whose.
struct Meeting {
    live: &'static Live,
    processes: Vec<(RangeInclusive<u32>, u32)>,
}

impl Shown<'_> {
    fn begin(&mut self, what: &str, offset: usize, size: usize, live: u32) -> Answer<Object<'static>> {
        if self.live.as_ref().is_none_or(|(known, _)| *known != live) {
            let met = (live != 0).then(|| Live::of_segment(&self.info, live).ok()).flatten();
            let met = met.filter(|found| found.file_id() == live);
            self.live = Some((live, met.map(|live| Meeting { live, processes: live.processes() })));
        }
        let mut object = Object::new(self.env)?;
        object.set("what", what)?;
        object.set("offset", offset as f64)?;
        object.set("size", size as f64)?;
        Ok(object)
    }

    /// `{ id, isAlive, pid }`: whether it lives, and its process; null where that is unknown.
    fn owner(&self, owner: Owner) -> Answer<Object<'static>> {
        let meeting = self.live.as_ref().and_then(|(_, meeting)| meeting.as_ref());
        let has = |(ids, _): &&(RangeInclusive<u32>, u32)| ids.contains(&owner.get());
        let mut object = Object::new(self.env)?;
        object.set("id", owner.get())?;
        set_optional(&mut object, "isAlive", meeting.map(|meeting| meeting.live.is_alive(owner)))?;
        let pid = meeting.and_then(|meeting| meeting.processes.iter().find(has)).map(|(_, pid)| *pid);
        set_optional(&mut object, "pid", pid)?;
        Ok(object)
    }

    fn owners(&self, owners: &[Owner]) -> Answer<Vec<Object<'static>>> {
        owners.iter().map(|owner| self.owner(*owner)).collect()
    }

    fn held(&self, object: &mut Object<'static>, name: &str, held: Held) -> Answer<()> {
        set_optional(object, name, held.owner.map(|owner| self.owner(owner)).transpose()?)
    }

    fn structure(&mut self, found: &Found) -> Answer<Object<'static>> {
        let mut object = self.begin(found.name, found.offset, found.size, found.live)?;
        match &found.state {
            State::Mutex(held) => {
                self.held(&mut object, "owner", *held)?;
                object.set("ownerDied", held.owner_died)?;
                object.set("hasWaiters", held.has_waiters)?;
            }
            State::Condition { notified, waiters } => {
                object.set("notified", *notified)?;
                object.set("waiters", *waiters)?;
            }
            State::Once { is_done, turn } => {
                object.set("isDone", *is_done)?;
                self.held(&mut object, "owner", *turn)?;
                object.set("hasWaiters", turn.has_waiters)?;
            }
            State::Semaphore { permits, owners, has_waiters } => {
                object.set("permits", *permits)?;
                object.set("owners", self.owners(owners)?)?;
                object.set("hasWaiters", *has_waiters)?;
            }
            State::RwLock { readers, writer, owners, has_waiters } => {
                object.set("readers", *readers)?;
                self.held(&mut object, "writer", *writer)?;
                object.set("ownerDied", writer.owner_died)?;
                object.set("owners", self.owners(owners)?)?;
                object.set("hasWaiters", *has_waiters || writer.has_waiters)?;
            }
            State::Barrier { parties, owners, arrived, phase, was_broken } => {
                object.set("parties", *parties)?;
                object.set("owners", self.owners(owners)?)?;
                object.set("arrived", *arrived)?;
                object.set("phase", *phase)?;
                object.set("wasBroken", *was_broken)?;
            }
            State::Channel {
                capacity,
                has_many_producers,
                sent,
                used,
                producer,
                consumer,
                consumer_waits,
                producers_wait,
            } => {
                object.set("capacity", *capacity)?;
                object.set("producers", if *has_many_producers { "many" } else { "one" })?;
                object.set("sent", *sent)?;
                set_optional(&mut object, "used", *used)?;
                self.held(&mut object, "producer", *producer)?;
                self.held(&mut object, "consumer", *consumer)?;
                object.set("consumerWaits", *consumer_waits)?;
                object.set("producersWait", *producers_wait)?;
            }
            State::Broadcast { slots, max_message, sent, producer, readers_wait } => {
                object.set("slots", *slots)?;
                object.set("maxMessage", *max_message)?;
                set_optional(&mut object, "sent", sent.map(|sent| sent as f64))?;
                self.held(&mut object, "producer", *producer)?;
                object.set("readersWait", *readers_wait)?;
            }
            _ => {}
        }
        Ok(object)
    }

    fn map(&mut self, map: &shm_map::inspect::Found) -> Answer<Object<'static>> {
        let mut object = self.begin("map", 0, map.stats.memory as usize, map.live)?;
        let MapOptions { memory, entries, shards, evict, max_value, tag_slots } = map.options;
        let mut options = Object::new(self.env)?;
        options.set("memory", memory.unwrap_or(0) as f64)?;
        options.set("entries", entries.unwrap_or(0))?;
        options.set("evict", evict.unwrap_or(false))?;
        options.set("maxValue", max_value.unwrap_or(0))?;
        options.set("shards", shards.unwrap_or(0))?;
        options.set("tagSlots", tag_slots.unwrap_or(0))?;
        object.set("options", options)?;
        let Stats { entries, memory, used, sets, evictions, expired, hits, misses, owners_died, .. } =
            map.stats;
        let mut stats = Object::new(self.env)?;
        for (name, count) in [
            ("entries", entries),
            ("memory", memory),
            ("used", used),
            ("sets", sets),
            ("evictions", evictions),
            ("expired", expired),
            ("hits", hits),
            ("misses", misses),
            ("ownersDied", owners_died),
        ] {
            stats.set(name, count as f64)?;
        }
        object.set("stats", stats)?;
        object.set("loads", map.loads as f64)?;
        let writers: Vec<Owner> = map.writers.iter().filter_map(|held| held.owner).collect();
        object.set("writers", self.owners(&writers)?)?;
        object.set("writersWait", map.writers.iter().any(|held| held.has_waiters))?;
        Ok(object)
    }
}

fn set_optional<T: ToNapiValue>(object: &mut Object<'static>, name: &str, value: Option<T>) -> Answer<()> {
    match value {
        Some(value) => object.set(name, value)?,
        None => object.set(name, Null)?,
    }
    Ok(())
}
