//! The description of a segment, without attaching it.

use crate::{kernel::is_orphan, name, object};
use nix::errno::Errno;
use shm_api::{Key, Mode, SegmentInfo, State};
use shm_lifetime::{Entry, EntryName, Lifetime, LockWait};
use std::time::{Duration, UNIX_EPOCH};

/// `None` if there is no such object, or if it is not a regular file.
pub(crate) fn describe(key: &Key) -> Result<Option<SegmentInfo>, Errno> {
    let Ok(name) = name::of_key(key) else { return Ok(None) };
    let found = object::look_up(name.as_c_str())?.filter(object::Stat::is_object);
    let Some(stat) = found else { return Ok(None) };
    // Without its files, the library has no entry, but the object exists all the same.
    let lifetime = Lifetime::current().ok();
    let entry = lifetime.as_ref().and_then(|lifetime| lifetime.entry_of(&name)).map(|(_, entry)| entry);
    let uid = lifetime.as_ref().map_or_else(|| nix::unistd::geteuid().as_raw(), |lifetime| lifetime.uid());
    let mode = Mode::new(stat.mode()).expect("mode() masks the nine bits");
    let size = stat.exact_size(uid, entry.as_ref()) as u64;
    let mut info = SegmentInfo::new(key.clone(), size, mode, stat.uid(), stat.gid());
    info.created = stat.changed();
    if let (Some(lifetime), Some(entry)) = (lifetime, entry.filter(|entry| stat.is_of(uid, entry))) {
        info.creator = Some(entry.pid);
        info.created = UNIX_EPOCH.checked_add(Duration::from_nanos(entry.created));
        info.state = state(&lifetime, &name, &entry);
    }
    Ok(Some(info))
}

fn state(lifetime: &Lifetime, name: &EntryName, entry: &Entry) -> State {
    if entry.persist {
        return State::Persistent;
    }
    // The question takes the lease for a moment, so it takes the name's lock, like a detach.
    let file = lifetime.lock_file(entry.class());
    let Ok(_lock) = lifetime.lock(file, name.lock_byte(), LockWait::Bounded) else { return State::Held };
    if is_orphan(lifetime, entry) { State::Orphan } else { State::Held }
}
