//! Destroying by request.

use crate::{failed::failed, name, object};
use nix::errno::Errno;
use shm_api::{DestroyError, Detached, Key};
use shm_lifetime::{Class, EntryName, Lifetime, LockWait, fault::step};

/// Destroys an object by `remove`, under its name's lock.
pub(crate) fn destroy(
    key: &Key,
    remove: impl FnOnce(&Lifetime, &EntryName) -> Result<Detached, Errno>,
) -> Result<Detached, DestroyError> {
    let name = name::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    let known = || lifetime.entry_of(&name).map(|(_, entry)| entry);
    let class = known().map_or(Class::Owner, |entry| entry.class());
    let _lock = lifetime
        .lock(lifetime.lock_file(class), name.lock_byte(), LockWait::Bounded)
        .map_err(|error| error.on(key))?;
    let stat = object::look_up(name.as_c_str()).ok().flatten();
    if stat.as_ref().is_some_and(|stat| !stat.is_object()) {
        return Err(DestroyError::NotFound { key: key.clone() }); // a link, a FIFO, a folder: no segment
    }
    let object = stat.map(|stat| stat.identity(lifetime.uid(), known));
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
