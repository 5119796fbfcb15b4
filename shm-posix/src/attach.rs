//! Attaching: look up who may lock the name, lock it, look again, open and map.

use crate::{
    PosixSegment,
    failed::{failed, map_failed, open_failed},
    kernel::{PosixKernel, Sign, namespace},
    mapping, name, object,
};
use nix::{errno::Errno, fcntl::OFlag};
use shm_api::{Access, AttachError, Detached, Key};
use shm_lifetime::{Class, EntryName, Hold, Lifetime, LockFile, Looked, fault::step};
use std::{
    ffi::CStr,
    io,
    num::{NonZeroU64, NonZeroUsize},
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Attaches the segment that has a name now.
pub(crate) fn attach(key: &Key, access: Access) -> Result<PosixSegment, AttachError> {
    let name = name::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    lifetime.sweep_once::<PosixKernel>();
    loop {
        if let Some(segment) = attach_once(&lifetime, key, &name, access)? {
            return Ok(segment);
        }
    }
}

/// `None`: the object or its entry changed before the name was locked; look again.
fn attach_once(
    lifetime: &Arc<Lifetime>,
    key: &Key,
    name: &EntryName,
    access: Access,
) -> Result<Option<PosixSegment>, AttachError> {
    let looked = lifetime.look_up(key, name, || lock_file(key, name).map(Some))?;
    let Some(Looked { file, known, lock: _lock }) = looked else { return Ok(None) };
    let (file_of_object, stat) = open(key, name.as_c_str(), access)?;
    if stat.is_unlinked() {
        return Ok(None);
    }
    let entry = known.as_ref().map(|(_, entry)| entry);
    let is_ours = entry.is_some_and(|entry| stat.is_of(lifetime.uid(), entry));
    let object = stat.identity(lifetime.uid(), || entry.copied());
    let size = u64::try_from(stat.exact_size(lifetime.uid(), entry)).ok().and_then(NonZeroU64::new);
    // We have the lock. So if the object has no size, or the entry is not about this object, a process that died in
    // its create left the entry.
    if let (Some((id, entry)), Some(ledger)) = (&known, lifetime.existing_ledger())
        && (size.is_none() || !is_ours)
        && !matches!(lifetime.settle::<PosixKernel>(ledger, *id, entry), Detached::Outlives(_))
    {
        return Ok(None);
    }
    let Some(size) = size else {
        return Err(failed("fstat", Errno::EAGAIN, key)
            .advise("It has no size yet, because its creator has not set it: try again.")
            .into());
    };
    // With 32 bits, there are objects that are larger than all addresses.
    let size = NonZeroUsize::try_from(size)
        .map_err(|_| map_failed(&io::Error::from_raw_os_error(libc::ENOMEM), key))?;
    let ours = known.filter(|_| is_ours);
    let (id, created) = ours.map(|(id, entry)| (id, entry.created)).unzip();
    let namespace = namespace(lifetime, Some(&stat));
    let sign = Sign::begin(lifetime, file, name, namespace, created).map_err(|error| error.on(key))?;
    step();
    let start = mapping::map(&file_of_object, size, access).map_err(|error| map_failed(&error, key))?;
    let hold = Hold::new(lifetime, id, file, name, object, false);
    Ok(Some(PosixSegment::new(key, name, (start, size), access, hold, sign)))
}

/// The file in which the name of a foreign object is locked.
pub(crate) fn lock_file(key: &Key, name: &EntryName) -> Result<LockFile, AttachError> {
    match object::look_up(name.as_c_str()).map_err(|errno| open_failed(errno, key))? {
        Some(stat) => Ok(LockFile { uid: stat.uid(), class: Class::of(stat.mode(), stat.gid()) }),
        None => Err(AttachError::NotFound { key: key.clone() }),
    }
}

pub(crate) fn open(key: &Key, name: &CStr, access: Access) -> Result<(OwnedFd, object::Stat), AttachError> {
    let flags = match access {
        Access::ReadWrite => OFlag::O_RDWR,
        Access::ReadOnly => OFlag::O_RDONLY,
    };
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        return match object::open(name, flags) {
            Err(Errno::ENOENT) => Err(AttachError::NotFound { key: key.clone() }),
            // Another process is asking the kernel about it (by a lease), which takes microseconds.
            Err(Errno::EWOULDBLOCK) if Instant::now() < deadline => {
                thread::sleep(Duration::from_micros(20));
                continue;
            }
            Err(errno) => Err(open_failed(errno, key).into()),
            Ok(opened) => Ok(opened),
        };
    }
}
