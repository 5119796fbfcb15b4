//! Reading without holding.

use crate::{
    attach::{find, lock_file, unknown},
    failed::{attach_failed, failed},
    limits, number, sys,
};
use nix::errno::Errno;
use shm_api::{AttachError, Key, racy_copy};
use shm_lifetime::{EntryName, Lifetime};
use std::{num::NonZeroU32, ptr::NonNull};

/// Copies from the segment that has a key now.
pub(crate) fn peek(key: &Key, offset: usize, target: &mut [u8]) -> Result<usize, AttachError> {
    let number = number::of_key(key)?;
    let lifetime = Lifetime::current().map_err(|error| error.on(key))?;
    loop {
        if let Some(count) = peek_once(&lifetime, key, number, offset, target)? {
            return Ok(count);
        }
    }
}

/// `None`: the segment or its entry changed before the name was locked; look again. The segment is attached during the
/// copy, under the lock that holders take when they leave. So none of them counts this attachment.
fn peek_once(
    lifetime: &Lifetime,
    key: &Key,
    number: NonZeroU32,
    offset: usize,
    target: &mut [u8],
) -> Result<Option<usize>, AttachError> {
    let name = EntryName::Key(number.get());
    let Some(_looked) = lifetime.look_up(key, &name, || lock_file(key, number))? else { return Ok(None) };
    let found = find(key, number)?;
    let stat = match sys::stat(found) {
        Ok(stat) => stat,
        Err(errno) => return unknown(errno, key),
    };
    let count = target.len().min(stat.size().saturating_sub(offset));
    if count == 0 {
        return Ok(Some(0));
    }
    // The kernel would treat us as its last holder.
    if stat.holders() == 0 && limits::all_go_with_their_last_holder() {
        return Err(failed("shmat", Errno::EOPNOTSUPP, key)
            .advise("No process holds it, and kernel.shm_rmid_forced is 1: reading it would destroy it.")
            .into());
    }
    let start = match sys::attach_to_read(found) {
        Ok(start) => start,
        Err(Errno::EIDRM | Errno::EINVAL) => return Ok(None),
        Err(errno) => return Err(attach_failed(errno, key).into()),
    };
    // SAFETY: `offset` is inside: a segment keeps its size, and `found` is the one that was asked about.
    let source = unsafe { start.add(offset) };
    // SAFETY: `count` bytes are there on both sides, and no reference spans a segment's bytes.
    unsafe { racy_copy(source, NonNull::from(target).cast(), count) };
    // SAFETY: attached above, and nobody else has the address.
    let _ = unsafe { sys::detach(start) };
    Ok(Some(count))
}
