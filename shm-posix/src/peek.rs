//! Reading without holding.

use crate::{
    attach::{lock_file, open},
    failed::failed,
    name, object,
};
use nix::errno::Errno;
use shm_api::{Access, AttachError, Key};
use shm_lifetime::Lifetime;

/// Copies from the object that has a name now. Its holders leave under the name's lock, so none of them finds it open.
pub(crate) fn peek(key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
    let name = name::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    loop {
        let Some(_looked) = lifetime.look_up(key, &name, || lock_file(key, &name).map(Some))? else {
            continue;
        };
        let (object, _) = open(key, name.as_c_str(), Access::ReadOnly)?;
        return object::read(object, offset, target).map_err(|error| {
            failed("pread", Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)), key).into()
        });
    }
}
