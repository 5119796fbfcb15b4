//! Creating, finding and destroying objects.

use crate::{
    PosixSegment,
    kernel::{Holding, PosixKernel, destroy_unheld, is_orphan, namespace},
    list, mapping, name, object,
};
use nix::{errno::Errno, fcntl::OFlag};
use shm_api::{
    Access, AttachError, AttachReadOnly, Backend, CreateError, CreateOptions, DestroyError, DestroyUnheld,
    Detached, Key, List, Mode, OsError, SegmentInfo, State, Sweep,
};
use shm_lifetime::{
    AddressRange, Class, Hold, Lifetime, LockFile, ObjectId, Patience, Record, RecordName, SlotId,
    check_room, fault::step, orphans_may_hold,
};
use std::{
    ffi::CStr,
    io,
    num::NonZeroUsize,
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

/// The POSIX backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Posix(());

impl Posix {
    /// The backend's name.
    pub const NAME: &'static str = "posix";

    /// The backend; it opens nothing until it is used.
    pub const fn new() -> Self {
        Self(())
    }
}

// SAFETY: an object gets its size, all zero, before it gets its name; a name is removed by `PosixKernel` when nobody
// holds the object and it is on record as ours, and by `destroy`. After shm_unlink holders keep their mapping.
unsafe impl Backend for Posix {
    type Segment = PosixSegment;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn create(&self, key: &Key, options: &CreateOptions) -> Result<PosixSegment, CreateError> {
        let name = name::of_key(key)?;
        let mode = options.permissions();
        if mode.bits() & 0o400 == 0 {
            return Err(CreateError::Unreadable { key: key.clone(), mode });
        }
        if options.reserves() {
            let size = options.size().get() as u64;
            check_room(object::RESERVE, size).map_err(|error| error.on(key))?;
        }
        let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
        lifetime.sweep_once::<PosixKernel>();
        match create(&lifetime, key, &name, options) {
            // Orphans may hold what is missing.
            Err(CreateError::Os(error))
                if orphans_may_hold(error.errno()) && lifetime.sweep::<PosixKernel>() > 0 =>
            {
                create(&lifetime, key, &name, options)
            }
            created => created,
        }
    }

    fn attach(&self, key: &Key) -> Result<PosixSegment, AttachError> {
        attach(key, Access::ReadWrite)
    }

    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError> {
        name::of_key(key)?;
        let found = describe(key).map_err(|errno| open_failed(errno, key))?;
        found.ok_or_else(|| AttachError::NotFound { key: key.clone() })
    }

    fn destroy(&self, key: &Key) -> Result<(), DestroyError> {
        destroy(key, |_, name| object::unlink(name.as_c_str()).map(|()| Detached::Destroyed)).map(drop)
    }
}

impl DestroyUnheld for Posix {
    fn destroy_unheld(&self, key: &Key) -> Result<Detached, DestroyError> {
        destroy(key, destroy_unheld)
    }
}

impl AttachReadOnly for Posix {
    fn attach_read_only(&self, key: &Key) -> Result<PosixSegment, AttachError> {
        attach(key, Access::ReadOnly)
    }
}

impl List for Posix {
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError> {
        list::list()
    }
}

impl Sweep for Posix {
    fn sweep(&self) -> Result<usize, OsError> {
        Ok(Lifetime::current()?.sweep::<PosixKernel>())
    }
}

/// Destroys an object by `remove`, under its name's lock.
fn destroy(
    key: &Key,
    remove: impl FnOnce(&Lifetime, &RecordName) -> Result<Detached, Errno>,
) -> Result<Detached, DestroyError> {
    let name = name::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    let recorded = || lifetime.recorded(&name).map(|(_, record)| record);
    let class = recorded().map_or(Class::Owner, |record| record.class());
    let _lock = lifetime
        .lock(lifetime.lock_file(class), name.lock_byte(), Patience::Bounded)
        .map_err(|error| error.on(key))?;
    let stat = object::look_up(name.as_c_str()).ok().flatten();
    if stat.as_ref().is_some_and(|stat| !stat.is_object()) {
        return Err(DestroyError::NotFound { key: key.clone() }); // a link, a FIFO, a folder: no segment
    }
    let object = stat.map(|stat| stat.identity(lifetime.uid(), recorded));
    match remove(&lifetime, &name) {
        Ok(Detached::Destroyed) => {
            step();
            if let Some(object) = object {
                lifetime.forget(&name, object);
            }
            Ok(Detached::Destroyed)
        }
        Ok(Detached::Gone) | Err(Errno::ENOENT) => Err(DestroyError::NotFound { key: key.clone() }),
        Ok(outlives) => Ok(outlives),
        Err(errno) => Err(failed("shm_unlink", errno, key).into()),
    }
}

/// An object that has its size and its room, and is mapped; dropping it frees it, unless it got a name.
struct Made {
    file: OwnedFd,
    stat: object::Stat,
    range: AddressRange,
}

impl Made {
    fn of(
        (file, stat): (OwnedFd, object::Stat),
        key: &Key,
        options: &CreateOptions,
    ) -> Result<Self, CreateError> {
        let size = options.size();
        if options.reserves() && options.wants_huge_pages() {
            object::check_free(&file, size.get() as u64).map_err(|error| refused(&error, key, size))?;
        }
        let start = mapping::map(&file, size, Access::ReadWrite).map_err(|error| map_failed(&error, key))?;
        // SAFETY: the mapping was left to us just now.
        let range = unsafe { AddressRange::new(start, size) };
        if options.wants_huge_pages() {
            // SAFETY: it was just mapped with that size.
            unsafe { shm_lifetime::ask_for_huge_pages(start, size, options.reserves()) };
            if options.reserves() {
                // What the huge pages did not cover.
                object::reserve(&file, size.get() as u64).map_err(|error| refused(&error, key, size))?;
            }
        }
        Ok(Self { file, stat, range })
    }
}

fn create(
    lifetime: &Arc<Lifetime>,
    key: &Key,
    name: &RecordName,
    options: &CreateOptions,
) -> Result<PosixSegment, CreateError> {
    let (size, class) = (options.size(), lifetime.class_to_create(options));
    let (bytes, mode) = (size.get() as u64, options.permissions().bits());
    // fallocate pins small pages, so huge ones are asked for first.
    let reserve = options.reserves() && !options.wants_huge_pages();
    let taken = || CreateError::Exists { key: key.clone() };
    let not_made = |error| CreateError::from(refused(&error, key, size));
    let lock = || lifetime.lock_to_create::<PosixKernel>(name, class).map_err(|error| error.on(key));

    // Finding room may take long, so it is done without the lock, but not for a name that is taken.
    let slow = bytes >= 1 << 20;
    let exists = || object::exists(name.as_c_str());
    if slow && exists() && (lock()?.is_none() || exists()) {
        return Err(taken());
    }
    let unnamed = object::make_unnamed(bytes, mode, reserve).map_err(not_made)?;
    let unnamed = unnamed.map(|made| Made::of(made, key, options)).transpose()?;

    let Some(_lock) = lock()? else { return Err(taken()) };
    let file = lifetime.lock_file(class);
    let namespace = namespace(lifetime, unnamed.as_ref().map(|made| &made.stat));
    let mut record = Record::of_this_process(*name, lifetime, options, namespace);
    record.object = unnamed.as_ref().map(|made| made.stat.identity_when_made(&record));
    let holding = Holding::begin(lifetime, file, name, namespace, Some(record.created))
        .map_err(|error| error.on(key))?;
    let (slot, made) = lifetime.record(&record, |slot| {
        let failed = |error: object::Failed| match error.errno {
            Errno::EEXIST => taken(),
            _ => not_made(error),
        };
        let named = |made: Made| object::publish(&made.file, name.as_c_str()).map(|()| made);
        let made = match unnamed.map(named) {
            Some(Ok(made)) => made,
            // The system has no unnamed objects, or no /proc to name them through.
            None | Some(Err(object::Failed { errno: Errno::ENOENT, .. })) => {
                let note = |object| note(lifetime, slot, object);
                note(None); // it is not the unnamed one
                let note = |stat: &object::Stat| note(Some(stat.identity_when_made(&record)));
                let made = object::make_named(name.as_c_str(), bytes, mode, reserve, note).map_err(failed)?;
                Made::of(made, key, options).inspect_err(|_| {
                    let _ = object::unlink(name.as_c_str());
                })?
            }
            Some(Err(error)) => return Err(failed(error)),
        };
        let object = made.stat.identity_when_made(&record);
        Ok(((made, object), object))
    })?;
    let (made, object) = made;
    let hold = Hold::new(lifetime, Some(slot), file, name, object, true);
    let start = made.range.into_start();
    let (access, attached) = (Access::ReadWrite, true);
    Ok(PosixSegment { key: key.clone(), name: *name, start, size, access, hold, holding, attached })
}

/// Notes which object a record stands for as soon as it has its name: whoever dies then leaves it to a sweep.
fn note(lifetime: &Lifetime, slot: Option<SlotId>, object: Option<ObjectId>) {
    if let (Some(slot), Some(ledger)) = (slot, lifetime.existing_ledger()) {
        ledger.set_object(slot, object);
    }
}

fn attach(key: &Key, access: Access) -> Result<PosixSegment, AttachError> {
    let name = name::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    lifetime.sweep_once::<PosixKernel>();
    loop {
        if let Some(segment) = attach_once(&lifetime, key, &name, access)? {
            return Ok(segment);
        }
    }
}

/// `None`: what was looked up changed before it was locked; look again.
fn attach_once(
    lifetime: &Arc<Lifetime>,
    key: &Key,
    name: &RecordName,
    access: Access,
) -> Result<Option<PosixSegment>, AttachError> {
    let recorded = lifetime.recorded(name);
    let file = match &recorded {
        Some((_, record)) => lifetime.lock_file(record.class()),
        None => match object::look_up(name.as_c_str()).map_err(|errno| open_failed(errno, key))? {
            Some(stat) => LockFile { uid: stat.uid(), class: Class::of(stat.mode(), stat.gid()) },
            None => return Err(AttachError::NotFound { key: key.clone() }),
        },
    };
    let _lock = lifetime.lock(file, name.lock_byte(), Patience::Bounded).map_err(|error| error.on(key))?;
    if lifetime.recorded(name) != recorded {
        return Ok(None);
    }
    let (file_of_object, stat) = open(key, name.as_c_str(), access)?;
    if stat.is_unlinked() {
        return Ok(None);
    }
    let record = recorded.as_ref().map(|(_, record)| record);
    let is_ours = record.is_some_and(|record| stat.is_of(lifetime.uid(), record));
    let object = stat.identity(lifetime.uid(), || record.copied());
    let size = usize::try_from(stat.exact_size(lifetime.uid(), record)).ok().and_then(NonZeroUsize::new);
    // As we have the lock, what is on record was left by one who died in its create, where it has no size or is not
    // what has the name.
    if let (Some((slot, record)), Some(ledger)) = (&recorded, lifetime.existing_ledger())
        && (size.is_none() || !is_ours)
        && !matches!(lifetime.settle::<PosixKernel>(ledger, *slot, record), Detached::Outlives(_))
    {
        return Ok(None);
    }
    let Some(size) = size else {
        return Err(failed("fstat", Errno::EAGAIN, key)
            .advise("It has no size yet: its creator is not done, so try again.")
            .into());
    };
    let ours = recorded.filter(|_| is_ours);
    let (slot, created) = ours.map(|(slot, record)| (slot, record.created)).unzip();
    let namespace = namespace(lifetime, Some(&stat));
    let holding = Holding::begin(lifetime, file, name, namespace, created).map_err(|error| error.on(key))?;
    step();
    let start = mapping::map(&file_of_object, size, access).map_err(|error| map_failed(&error, key))?;
    let hold = Hold::new(lifetime, slot, file, name, object, false);
    let attached = true;
    Ok(Some(PosixSegment { key: key.clone(), name: *name, start, size, access, hold, holding, attached }))
}

fn open(key: &Key, name: &CStr, access: Access) -> Result<(OwnedFd, object::Stat), AttachError> {
    let flags = match access {
        Access::ReadWrite => OFlag::O_RDWR,
        Access::ReadOnly => OFlag::O_RDONLY,
    };
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        return match object::open(name, flags) {
            Err(Errno::ENOENT) => Err(AttachError::NotFound { key: key.clone() }),
            // Someone is asking the kernel about it (a lease): a matter of microseconds.
            Err(Errno::EWOULDBLOCK) if Instant::now() < deadline => {
                thread::sleep(Duration::from_micros(20));
                continue;
            }
            Err(errno) => Err(open_failed(errno, key).into()),
            Ok(opened) => Ok(opened),
        };
    }
}

/// `None` where there is no such object, or no regular file.
pub(crate) fn describe(key: &Key) -> Result<Option<SegmentInfo>, Errno> {
    let Ok(name) = name::of_key(key) else { return Ok(None) };
    let found = object::look_up(name.as_c_str())?.filter(object::Stat::is_object);
    let Some(stat) = found else { return Ok(None) };
    // Without its files the library knows of no record, but the object is there all the same.
    let lifetime = Lifetime::current().ok();
    let record = lifetime.as_ref().and_then(|lifetime| lifetime.recorded(&name)).map(|(_, record)| record);
    let uid = lifetime.as_ref().map_or_else(|| nix::unistd::geteuid().as_raw(), |lifetime| lifetime.uid());
    let mode = Mode::new(stat.mode()).expect("mode() masks the nine bits");
    let size = stat.exact_size(uid, record.as_ref()) as u64;
    let mut info = SegmentInfo::new(key.clone(), size, mode, stat.uid(), stat.gid());
    info.created = stat.changed();
    if let (Some(lifetime), Some(record)) = (lifetime, record.filter(|record| stat.is_of(uid, record))) {
        info.creator = Some(record.pid);
        info.created = UNIX_EPOCH.checked_add(Duration::from_nanos(record.created));
        info.state = state(&lifetime, &name, &record);
    }
    Ok(Some(info))
}

fn state(lifetime: &Lifetime, name: &RecordName, record: &Record) -> State {
    if record.persist {
        return State::Persistent;
    }
    // Asking takes the lease for a moment, so it waits for its turn like a detach.
    let file = lifetime.lock_file(record.class());
    let Ok(_lock) = lifetime.lock(file, name.lock_byte(), Patience::Bounded) else { return State::Held };
    if is_orphan(lifetime, record) { State::Orphan } else { State::Held }
}

fn refused(&object::Failed { call, errno }: &object::Failed, key: &Key, size: NonZeroUsize) -> OsError {
    let advice = match errno {
        Errno::EMFILE | Errno::ENFILE => {
            "Too many open files (`ulimit -n`): close some, or raise the limit.".into()
        }
        Errno::ENOMEM => format!("Asked for {size} bytes: the system has not that much memory left."),
        _ => object::advise_to_make(errno, size),
    };
    failed(call, errno, key).advise(advice)
}

fn open_failed(errno: Errno, key: &Key) -> OsError {
    let advice = match errno {
        Errno::EACCES => "Its owner's mode does not let this user in.",
        Errno::EPERM => "What stands there is no shared memory object: remove it, or choose another name.",
        Errno::EMFILE | Errno::ENFILE => "Too many open files (`ulimit -n`): close some, or raise the limit.",
        _ => "",
    };
    failed("shm_open", errno, key).advise(advice)
}

fn map_failed(error: &io::Error, key: &Key) -> OsError {
    let errno = error.raw_os_error().map_or(Errno::ENOMEM, Errno::from_raw);
    failed("mmap", errno, key).advise(mapping::advise(errno))
}

fn failed(call: &'static str, errno: Errno, key: &Key) -> OsError {
    OsError::new(call, errno as i32).on(key)
}
