//! Destroying by request.

use crate::{failed::failed, number, sys};
use nix::errno::Errno;
use shm_api::{DestroyError, Detached, Key};
use shm_lifetime::{Class, EntryName, Lifetime, LockWait, fault::step};

/// Destroys a segment by `remove`, under its name's lock.
pub(crate) fn destroy(
    key: &Key,
    remove: impl FnOnce(sys::Id) -> Result<Detached, Errno>,
) -> Result<Detached, DestroyError> {
    let number = number::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    let not_found = || DestroyError::NotFound { key: key.clone() };
    let name = EntryName::Key(number.get());
    let class = lifetime.entry_of(&name).map_or(Class::Owner, |(_, entry)| entry.class());
    let _lock = lifetime
        .lock(lifetime.lock_file(class), name.lock_byte(), LockWait::Bounded)
        .map_err(|error| error.on(key))?;
    let found = sys::find(number).map_err(|errno| match errno {
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
