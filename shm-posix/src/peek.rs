//! Reading without holding.

use crate::{
    attach::{lock_file, open},
    failed::failed,
    name, object,
};
use nix::errno::Errno;
use shm_api::{Access, AttachError, Key};
use shm_lifetime::{Lifetime, LockWait};

/// Copies from the object that has a name now. Its holders leave under the name's lock, so none of them finds it open.
pub(crate) fn peek(key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
    let name = name::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    loop {
        let known = lifetime.entry_of(&name);
        let file = lock_file(&lifetime, key, &name, known.as_ref().map(|(_, entry)| entry))?;
        let _lock =
            lifetime.lock(file, name.lock_byte(), LockWait::Bounded).map_err(|error| error.on(key))?;
        if lifetime.entry_of(&name) != known {
            continue;
        }
        let (object, _) = open(key, name.as_c_str(), Access::ReadOnly)?;
        return object::read(object, offset, target).map_err(|error| {
            failed("pread", Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)), key).into()
        });
    }
}
