//! Attaching: look up who may lock the name, lock it, look again, and attach.

use crate::{
    SysVSegment,
    attachment::Attachment,
    failed::{attach_failed, failed, find_failed},
    kernel::{SysVKernel, is_made_by},
    limits, number, sys,
};
use nix::errno::Errno;
use shm_api::{AttachError, Detached, Key, OsError};
use shm_lifetime::{Class, Entry, EntryId, EntryName, Hold, Lifetime, LockFile, Looked, fault::step};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
};

/// Attaches the segment that has a key now.
pub(crate) fn attach(key: &Key) -> Result<SysVSegment, AttachError> {
    let number = number::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    lifetime.sweep_once::<SysVKernel>();
    loop {
        if let Some(segment) = attach_once(&lifetime, key, number)? {
            return Ok(segment);
        }
    }
}

/// `None`: the segment or its entry changed before the name was locked; look again.
fn attach_once(
    lifetime: &Arc<Lifetime>,
    key: &Key,
    number: NonZeroU32,
) -> Result<Option<SysVSegment>, AttachError> {
    let name = EntryName::Key(number.get());
    let looked = lifetime.look_up(key, &name, || lock_file(key, number))?;
    let Some(Looked { file, known, lock: _lock }) = looked else { return Ok(None) };
    let found = find(key, number)?;
    let stat = match sys::stat(found) {
        Ok(stat) => stat,
        Err(errno) => return unknown(errno, key),
    };
    let id = match known {
        None => None,
        Some((id, entry)) => {
            match stands_for(lifetime, id, &entry, found, &stat).map_err(|error| error.on(key))? {
                StandsFor::It => Some(id),
                StandsFor::Another => None,
                StandsFor::Unknown => return Ok(None),
            }
        }
    };
    let Some(size) = NonZeroUsize::new(stat.size()) else { return Ok(None) };
    step();
    let attachment = match Attachment::of(found, size) {
        Ok(attachment) => attachment,
        Err(Errno::EIDRM | Errno::EINVAL) => return Ok(None),
        Err(errno) => return Err(attach_failed(errno, key).into()),
    };
    let hold = Hold::new(lifetime, id, file, &name, found.into(), false);
    Ok(Some(SysVSegment::new(key, number, attachment, size, hold)))
}

pub(crate) fn find(key: &Key, number: NonZeroU32) -> Result<sys::Id, AttachError> {
    sys::find(number).map_err(|errno| find_failed(errno, key))
}

/// The file in which the name of a foreign segment is locked; `None` if the segment is gone meanwhile.
pub(crate) fn lock_file(key: &Key, number: NonZeroU32) -> Result<Option<LockFile>, AttachError> {
    match sys::stat(find(key, number)?) {
        Ok(stat) => Ok(Some(LockFile { uid: stat.uid(), class: Class::of(stat.mode(), stat.gid()) })),
        Err(errno) => unknown(errno, key),
    }
}

/// Which segment an entry stands for.
enum StandsFor {
    /// The one that was found.
    It,
    /// Another one, which is still there.
    Another,
    /// To find that out, the ledger or the segment was changed: look again.
    Unknown,
}

/// Compares an entry with the segment that has its key, under the name's lock.
fn stands_for(
    lifetime: &Lifetime,
    id: EntryId,
    entry: &Entry,
    found: sys::Id,
    stat: &sys::Stat,
) -> Result<StandsFor, OsError> {
    let (ledger, here) = (lifetime.ledger()?, lifetime.namespaces().pid);
    let is_gone = || !matches!(lifetime.settle::<SysVKernel>(ledger, id, entry), Detached::Outlives(_));
    if entry.object == Some(found.into()) {
        // The segment has that mode while we hold the name's lock: the process that set it to ask the kernel has died.
        let is_guarded = stat.mode() == sys::GUARD && entry.mode != sys::GUARD;
        return Ok(if is_guarded && is_gone() { StandsFor::Unknown } else { StandsFor::It });
    }
    // Its creator died before it noted the id; a pid means something only in its own namespace.
    if entry.object.is_none() && entry.pid_namespace != 0 && entry.pid_namespace == here {
        if is_made_by(stat, entry, here) {
            ledger.set_object(id, Some(found.into()));
        } else {
            ledger.erase(id);
        }
        return Ok(StandsFor::Unknown);
    }
    // The entry is about another segment, which is usually gone: the process that made this one had found no entry
    // yet, and has one of its own, which may be locked in the other file.
    Ok(if is_gone() { StandsFor::Unknown } else { StandsFor::Another })
}

/// For a segment that could not be described: `None` if it is gone meanwhile, else the error.
#[cold]
pub(crate) fn unknown<T>(errno: Errno, key: &Key) -> Result<Option<T>, AttachError> {
    match errno {
        Errno::EINVAL | Errno::EIDRM => Ok(None),
        errno => Err(failed("shmctl", errno, key).advise(limits::advise_to_attach(errno)).into()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use shm_api::{CreateOptions, Mode};

    /// Two create a key at once, with modes that are locked in different files. A process destroys the segment of the
    /// first, and dies before it erases the entry. Then the second makes its own.
    #[test]
    fn an_entry_of_a_segment_that_is_gone_does_not_hide_the_one_that_has_its_key() {
        let lifetime = Lifetime::current().unwrap();
        lifetime.sweep_once::<SysVKernel>();
        let number = NonZeroU32::new(0x5400_0000 | std::process::id() & 0xffff).unwrap();
        let options = |mode| {
            CreateOptions::new(NonZeroUsize::new(100).unwrap()).mode(Mode::new(mode).expect("nine bits"))
        };
        let name = EntryName::Key(number.get());
        let create = |mode: u32| {
            let entry = Entry::of_this_process(name, &lifetime, &options(mode), lifetime.namespaces().ipc);
            let made = lifetime.enter(&entry, |_| {
                let made = sys::create(number, 100, mode).unwrap();
                Ok::<_, OsError>((made, made.into()))
            });
            made.unwrap().1
        };
        sys::remove(create(0o600)).unwrap();
        let second = create(0o666);
        let attached = attach(&Key::Id(number));
        let entries = || {
            let ledger = lifetime.existing_ledger().unwrap();
            ledger.taken().filter(|(id, ..)| ledger.get(*id).is_some_and(|entry| entry.name == name)).count()
        };
        let known = entries();
        let detached = shm_api::Segment::detach(attached.unwrap());
        let _ = sys::remove(second);
        assert_eq!((known, detached, entries()), (1, Detached::Destroyed, 0));
    }
}
