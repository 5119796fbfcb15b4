//! The description of a segment, without attaching it.

use crate::{
    failed::{failed, find_failed},
    number, sys,
};
use nix::errno::Errno;
use shm_api::{AttachError, Key, Mode, SegmentInfo, State};
use shm_lifetime::{EntryName, Lifetime};
use std::{
    num::NonZeroU32,
    time::{Duration, UNIX_EPOCH},
};

/// The segment that has a key now.
pub(crate) fn info(key: &Key) -> Result<SegmentInfo, AttachError> {
    let number = number::of_key(key)?;
    let found = sys::find(number).map_err(|errno| find_failed(errno, key))?;
    match sys::stat(found) {
        Ok(stat) => Ok(describe(number, found, &stat)),
        Err(Errno::EINVAL | Errno::EIDRM) => Err(AttachError::NotFound { key: key.clone() }),
        Err(errno) => Err(failed("shmctl", errno, key).into()),
    }
}

pub(crate) fn describe(number: NonZeroU32, found: sys::Id, stat: &sys::Stat) -> SegmentInfo {
    let mode = Mode::new(stat.mode()).expect("stat() masks the nine bits");
    let mut info = SegmentInfo::new(Key::Id(number), stat.size() as u64, mode, stat.uid(), stat.gid());
    info.holders = Some(stat.holders());
    info.creator = Some(stat.creator()).filter(|pid| *pid != 0); // 0: a process of another pid namespace
    info.created =
        u64::try_from(stat.changed()).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
    let known =
        Lifetime::current().ok().and_then(|lifetime| lifetime.entry_of(&EntryName::Key(number.get())));
    if let Some((_, entry)) = known.filter(|(_, entry)| entry.object == Some(found.into())) {
        info.created = UNIX_EPOCH.checked_add(Duration::from_nanos(entry.created));
        info.state = match stat.holders() {
            _ if entry.persist => State::Persistent,
            0 => State::Orphan,
            _ => State::Held,
        };
    }
    info
}
