//! Creating, finding and destroying segments.

use crate::{
    SysVSegment,
    attachment::Attachment,
    kernel::{SysVKernel, destroy_unheld, is_made_by},
    limits, list, sys,
};
use nix::errno::Errno;
use shm_api::{
    AttachError, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld, Detached, InvalidKey, Key,
    List, Mode, OsError, SegmentInfo, State, Sweep,
};
use shm_lifetime::{Class, Entry, EntryName, Hold, Lifetime, LockFile, LockWait, check_room, fault::step};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The System V backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct SysV(());

impl SysV {
    /// The backend's name.
    pub const NAME: &'static str = "sysv";

    /// The backend; it opens nothing until it is used.
    pub const fn new() -> Self {
        Self(())
    }
}

// SAFETY: shmget(2) gives the size asked, all zero; a segment is removed by `SysVKernel` when nobody holds it and
// it is in the ledger as ours, and by `destroy`. After IPC_RMID holders keep their memory, and the key is free.
unsafe impl Backend for SysV {
    type Segment = SysVSegment;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn create(&self, key: &Key, options: &CreateOptions) -> Result<SysVSegment, CreateError> {
        let id = integer(key)?;
        let mode = options.permissions();
        if mode.bits() & 0o400 == 0 {
            return Err(CreateError::Unreadable { key: key.clone(), mode });
        }
        if options.persists() && limits::all_go_with_their_last_holder() {
            return Err(failed("shmget", Errno::EOPNOTSUPP, key)
                .advise(
                    "kernel.shm_rmid_forced is 1, so that the kernel destroys each System V segment with its last \
                     attachment, and none can persist: set it to 0, or put the segment on the POSIX backend.",
                )
                .into());
        }
        if options.reserves() {
            check_room("shmget", options.size().get() as u64).map_err(|error| error.on(key))?;
        }
        let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
        lifetime.sweep_once::<SysVKernel>();
        match create(&lifetime, key, id, options) {
            // Orphans may hold what is missing.
            Err(CreateError::Os(error))
                if limits::orphans_may_hold(error.errno()) && lifetime.sweep::<SysVKernel>() > 0 =>
            {
                create(&lifetime, key, id, options)
            }
            created => created,
        }
    }

    fn attach(&self, key: &Key) -> Result<SysVSegment, AttachError> {
        let id = integer(key)?;
        let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
        lifetime.sweep_once::<SysVKernel>();
        loop {
            if let Some(segment) = attach(&lifetime, key, id)? {
                return Ok(segment);
            }
        }
    }

    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError> {
        let id = integer(key)?;
        let found = find(key, id)?;
        match sys::stat(found) {
            Ok(stat) => Ok(describe(id, found, &stat)),
            Err(Errno::EINVAL | Errno::EIDRM) => Err(AttachError::NotFound { key: key.clone() }),
            Err(errno) => Err(failed("shmctl", errno, key).into()),
        }
    }

    fn destroy(&self, key: &Key) -> Result<(), DestroyError> {
        destroy(key, |id| sys::remove(id).map(|()| Detached::Destroyed)).map(drop)
    }
}

impl DestroyUnheld for SysV {
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError> {
        destroy(key, |id| {
            let stat = sys::stat(id)?;
            destroy_unheld(id, &stat, stat.mode())
        })
    }
}

impl List for SysV {
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError> {
        list::list()
    }
}

impl Sweep for SysV {
    fn sweep(&self) -> Result<usize, OsError> {
        Ok(Lifetime::current()?.sweep::<SysVKernel>())
    }
}

/// Destroys a segment by `remove`, under its name's lock.
fn destroy(
    key: &Key,
    remove: impl FnOnce(sys::Id) -> Result<Detached, Errno>,
) -> Result<Detached, DestroyError> {
    let id = integer(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    let not_found = || DestroyError::NotFound { key: key.clone() };
    let name = EntryName::Key(id.get());
    let class = lifetime.entry_of(&name).map_or(Class::Owner, |(_, entry)| entry.class());
    let _lock = lifetime
        .lock(lifetime.lock_file(class), name.lock_byte(), LockWait::Bounded)
        .map_err(|error| error.on(key))?;
    let found = sys::find(id).map_err(|errno| match errno {
        Errno::ENOENT | Errno::ENOSYS => not_found(),
        errno => failed("shmget", errno, key).into(),
    })?;
    match remove(found) {
        Ok(Detached::Destroyed) => {
            step();
            lifetime.forget(&name, found.into());
            Ok(Detached::Destroyed)
        }
        Ok(Detached::Gone) | Err(Errno::EINVAL | Errno::EIDRM) => Err(not_found()),
        Ok(outlives) => Ok(outlives),
        Err(errno) => Err(failed("shmctl", errno, key).into()),
    }
}

fn integer(key: &Key) -> Result<NonZeroU32, InvalidKey> {
    match key {
        Key::Id(id) => Ok(*id),
        Key::Name(_) => Err(InvalidKey::NotAnInteger { backend: SysV::NAME, key: key.clone() }),
    }
}

fn create(
    lifetime: &Arc<Lifetime>,
    key: &Key,
    id: NonZeroU32,
    options: &CreateOptions,
) -> Result<SysVSegment, CreateError> {
    let (size, mode) = (options.size(), options.permissions());
    let name = EntryName::Key(id.get());
    let taken = || CreateError::Exists { key: key.clone() };
    let class = lifetime.class_to_create(options);
    let lock = lifetime.lock_to_create::<SysVKernel>(&name, class).map_err(|error| error.on(key))?;
    let Some(lock) = lock else { return Err(taken()) };
    let entry = Entry::of_this_process(name, lifetime, options, lifetime.namespaces().ipc);
    let (slot, (found, attachment)) = lifetime.enter(&entry, |_| {
        let found = sys::create(id, size.get(), mode.bits()).map_err(|errno| match errno {
            Errno::EEXIST => taken(),
            errno => refused(errno, key, size).into(),
        })?;
        step();
        let attachment = Attachment::of(found, size).map_err(|errno| {
            let _ = sys::remove(found);
            attach_failed(errno, key)
        })?;
        Ok::<_, CreateError>(((found, attachment), found.into()))
    })?;
    let file = lifetime.lock_file(class);
    let hold = Hold::new(lifetime, Some(slot), file, &name, found.into(), true);
    drop(lock); // taking pages may be slow
    if options.wants_huge_pages() {
        // SAFETY: it was just attached with that size.
        unsafe { shm_lifetime::ask_for_huge_pages(attachment.start(), size, options.reserves()) };
    }
    Ok(SysVSegment {
        key: key.clone(),
        id,
        attachment,
        size,
        hold,
        kernel_destroys: limits::kernel_destroys(),
        attached: true,
    })
}

/// `None`: what was looked up changed before it was locked; look again.
fn attach(lifetime: &Arc<Lifetime>, key: &Key, id: NonZeroU32) -> Result<Option<SysVSegment>, AttachError> {
    let name = EntryName::Key(id.get());
    let known = lifetime.entry_of(&name);
    let file = match &known {
        Some((_, entry)) => lifetime.lock_file(entry.class()),
        None => match sys::stat(find(key, id)?) {
            Ok(stat) => LockFile { uid: stat.uid(), class: Class::of(stat.mode(), stat.gid()) },
            Err(errno) => return unknown(errno, key),
        },
    };
    let _lock = lifetime.lock(file, name.lock_byte(), LockWait::Bounded).map_err(|error| error.on(key))?;
    if lifetime.entry_of(&name) != known {
        return Ok(None);
    }
    let found = find(key, id)?;
    let stat = match sys::stat(found) {
        Ok(stat) => stat,
        Err(errno) => return unknown(errno, key),
    };
    let slot = match known {
        Some((slot, entry)) if entry.object == Some(found.into()) => {
            // That mode under the name's lock: whoever set it to ask the kernel has died of something.
            if stat.mode() == sys::GUARD && entry.mode != sys::GUARD {
                let ledger = lifetime.ledger().map_err(|error| error.on(key))?;
                if !matches!(lifetime.settle::<SysVKernel>(ledger, slot, &entry), Detached::Outlives(_)) {
                    return Ok(None);
                }
            }
            Some(slot)
        }
        // Its creator died before it noted the id; a pid means something only in its own namespace.
        Some((slot, entry)) if entry.object.is_none() && is_ours(entry.pid_namespace, lifetime) => {
            match is_made_by(&stat, &entry, lifetime.namespaces().pid) {
                true => {
                    lifetime.ledger().map_err(|error| error.on(key))?.set_object(slot, Some(found.into()))
                }
                false => lifetime.ledger().map_err(|error| error.on(key))?.erase(slot),
            }
            return Ok(None);
        }
        // It is about another one, which as a rule is gone: whoever made this one had found no entry yet, and has
        // one of its own, which may be locked in the other file.
        Some((slot, entry)) => {
            let ledger = lifetime.ledger().map_err(|error| error.on(key))?;
            if !matches!(lifetime.settle::<SysVKernel>(ledger, slot, &entry), Detached::Outlives(_)) {
                return Ok(None);
            }
            None
        }
        None => None,
    };
    let Some(size) = NonZeroUsize::new(stat.size()) else { return Ok(None) };
    step();
    let attachment = match Attachment::of(found, size) {
        Ok(attachment) => attachment,
        Err(Errno::EIDRM | Errno::EINVAL) => return Ok(None),
        Err(errno) => return Err(attach_failed(errno, key).into()),
    };
    let hold = Hold::new(lifetime, slot, file, &name, found.into(), false);
    Ok(Some(SysVSegment {
        key: key.clone(),
        id,
        attachment,
        size,
        hold,
        kernel_destroys: limits::kernel_destroys(),
        attached: true,
    }))
}

fn is_ours(pid_namespace: u64, lifetime: &Lifetime) -> bool {
    pid_namespace != 0 && pid_namespace == lifetime.namespaces().pid
}

fn find(key: &Key, id: NonZeroU32) -> Result<sys::Id, AttachError> {
    sys::find(id).map_err(|errno| match errno {
        // The second where the kernel has no System V shared memory at all.
        Errno::ENOENT | Errno::ENOSYS => AttachError::NotFound { key: key.clone() },
        errno => failed("shmget", errno, key).into(),
    })
}

/// A segment that cannot be asked about: `None` where it went meanwhile.
#[cold]
fn unknown<T>(errno: Errno, key: &Key) -> Result<Option<T>, AttachError> {
    match errno {
        Errno::EINVAL | Errno::EIDRM => Ok(None),
        errno => Err(failed("shmctl", errno, key).advise(limits::advise_to_attach(errno)).into()),
    }
}

pub(crate) fn describe(key: NonZeroU32, found: sys::Id, stat: &sys::Stat) -> SegmentInfo {
    let mode = Mode::new(stat.mode()).expect("stat() masks the nine bits");
    let mut info = SegmentInfo::new(Key::Id(key), stat.size() as u64, mode, stat.uid(), stat.gid());
    info.holders = Some(stat.holders());
    info.creator = Some(stat.creator()).filter(|pid| *pid != 0); // 0: a process of another pid namespace
    info.created =
        u64::try_from(stat.changed()).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
    let known = Lifetime::current().ok().and_then(|lifetime| lifetime.entry_of(&EntryName::Key(key.get())));
    if let Some((_, entry)) = known.filter(|(_, entry)| entry.object == Some(found.into())) {
        info.created = created(&entry);
        info.state = match stat.holders() {
            _ if entry.persist => State::Persistent,
            0 => State::Orphan,
            _ => State::Held,
        };
    }
    info
}

fn created(entry: &Entry) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(entry.created))
}

fn refused(errno: Errno, key: &Key, size: NonZeroUsize) -> OsError {
    failed("shmget", errno, key).advise(limits::advise_to_create(errno, size))
}

fn attach_failed(errno: Errno, key: &Key) -> OsError {
    failed("shmat", errno, key).advise(limits::advise_to_attach(errno))
}

fn failed(call: &'static str, errno: Errno, key: &Key) -> OsError {
    OsError::new(call, errno as i32).on(key)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Two create a key at once, with modes that are locked in different files. The segment of the first is destroyed,
    /// and whoever did that dies before it erases the entry; then the second makes its own.
    #[test]
    fn an_entry_of_a_segment_that_is_gone_does_not_hide_the_one_that_has_its_key() {
        let lifetime = Lifetime::current().unwrap();
        lifetime.sweep_once::<SysVKernel>();
        let id = NonZeroU32::new(0x5400_0000 | std::process::id() & 0xffff).unwrap();
        let options = |mode| {
            CreateOptions::new(NonZeroUsize::new(100).unwrap()).mode(Mode::new(mode).expect("nine bits"))
        };
        let name = EntryName::Key(id.get());
        let create = |mode: u32| {
            let entry = Entry::of_this_process(name, &lifetime, &options(mode), lifetime.namespaces().ipc);
            let made = lifetime.enter(&entry, |_| {
                let made = sys::create(id, 100, mode).unwrap();
                Ok::<_, OsError>((made, made.into()))
            });
            made.unwrap().1
        };
        sys::remove(create(0o600)).unwrap();
        let second = create(0o666);
        let attached = SysV::new().attach(&Key::Id(id));
        let entries = || {
            let ledger = lifetime.existing_ledger().unwrap();
            ledger
                .taken()
                .filter(|(slot, ..)| ledger.get(*slot).is_some_and(|entry| entry.name == name))
                .count()
        };
        let known = entries();
        let detached = shm_api::Segment::detach(attached.unwrap());
        let _ = sys::remove(second);
        assert_eq!((known, detached, entries()), (1, Detached::Destroyed, 0));
    }
}
