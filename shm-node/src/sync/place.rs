//! The place of a structure, and the owner id of this environment there.

use super::{call::Call, errors, table};
use crate::{
    attachments::{self, Number},
    backends,
    failure::Failure,
};
use napi::Env;
use shm_api::Access;
use shm_sync::{Live, Owner, Region, live_file_at};
use std::{cell::RefCell, ptr::NonNull, sync::atomic::AtomicU32};

thread_local! {
    /// The live files that this environment uses, with its owner id in each.
    static LIVES: RefCell<Vec<(&'static Live, Owner)>> = const { RefCell::new(Vec::new()) };
}

/// A part of an attachment.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) number: Number,
    pub(crate) region: Region<'static>,
}

impl Place {
    /// The first arguments of a call that opens something: the attachment's number, a byte offset, how many bytes.
    pub(crate) fn of<const N: usize>(call: &Call<N>) -> Result<Self, Failure> {
        let number = call.unsigned(0);
        let (start, size, access) = attachments::data(number).ok_or_else(errors::detached)?;
        let (offset, room) = (call.number(1) as usize, call.number(2) as usize);
        if offset.checked_add(room).is_none_or(|end| end > size) {
            return Err(Failure::internal("a place outside the segment"));
        }
        // SAFETY: inside the data.
        let start = unsafe { start.add(offset) };
        // SAFETY: it stays mapped, and what is opened here is dropped before the segment is let go: see `table::leave`.
        let region = unsafe { Region::from_raw(start, room, access) };
        Ok(Self { number, region })
    }

    /// The live file for what is here, and this environment's id.
    pub(crate) fn live(&self, env: &Env) -> Result<(&'static Live, Owner), Failure> {
        let live = live_for(self.number, live_file_at(self.region, 0)?)?;
        let known =
            LIVES.with_borrow(|all| all.iter().find(|(known, _)| known.file_id() == live.file_id()).copied());
        if let Some(known) = known {
            return Ok(known);
        }
        let owner = live.new_owner()?;
        LIVES.with_borrow_mut(|all| all.push((live, owner)));
        // From then on, other owners can take what this environment held. What it releases by itself comes first,
        // because an owner that counts as dead cannot release anything.
        env.add_env_cleanup_hook((), move |()| {
            table::leave_all();
            LIVES.with_borrow_mut(|all| all.retain(|(_, known)| *known != owner));
            live.retire(owner);
        })?;
        Ok((live, owner))
    }

    /// The same, for structures that need writable memory.
    pub(crate) fn writable(&self, env: &Env) -> Result<(&'static Live, Owner), Failure> {
        if self.region.access() == Access::ReadOnly {
            return Err(errors::read_only());
        }
        self.live(env)
    }
}

fn live_for(number: Number, carried: u32) -> Result<&'static Live, Failure> {
    let (backend, key) = attachments::name(number).ok_or_else(errors::detached)?;
    match backends::info(backend, &key) {
        Ok(info) => Ok(Live::of_segment(&info, carried)?),
        // A segment that was destroyed while it is held has no description.
        Err(_) => Ok(Live::own()?),
    }
}

/// A word that can be waited on, at a byte offset of an attachment's data.
#[inline]
pub(crate) fn word(number: Number, offset: f64) -> Result<NonNull<AtomicU32>, Failure> {
    let (start, size, access) = attachments::data(number).ok_or_else(errors::detached)?;
    if access == Access::ReadOnly {
        let why = "a read-only segment can neither wait nor lock: get it without `readOnly`, or poll";
        return Err(Failure::Value(why.into()));
    }
    let offset = offset as usize;
    if offset.checked_add(size_of::<AtomicU32>()).is_none_or(|end| end > size) {
        return Err(Failure::internal("a word outside the segment"));
    }
    // SAFETY: inside the data.
    let word: NonNull<AtomicU32> = unsafe { start.add(offset) }.cast();
    if word.is_aligned() { Ok(word) } else { Err(Failure::internal("a word that is not aligned")) }
}
