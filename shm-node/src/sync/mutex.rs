//! The mutex. Without contention, JavaScript locks and unlocks it by itself.

use super::{
    call::Call,
    objects::{Objects, Part},
    operations::{NO, Operation, answer},
    place::Place,
    table::Table,
};
use crate::failure::Failure;
use shm_sync::{Locking, Mutex, MutexGuard, Step};
use std::time::Duration;

impl Part for Mutex<'static> {}

/// `openMutex(attachment, offset, room)`: the object, and this environment's owner id.
pub(super) fn open(table: &mut Table, call: &Call<3>) -> Result<[f64; 2], Failure> {
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&call.env())?;
    let mutex = Mutex::open(place.region, 0, live)?.for_owner(owner);
    let handle = table.objects.add(place.number, Some(owner), mutex);
    Ok([handle.into(), owner.get().into()])
}

/// Keeps the guard; the answer says whether the previous owner died.
fn kept(guard: MutexGuard<'static>) -> i32 {
    let owner_died = guard.owner_died();
    guard.keep();
    owner_died.into()
}

impl Operation for Locking<'static> {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        Ok(answer(self.step()?, kept))
    }
}

/// `lock(mutex, timeout)`.
pub(super) fn lock(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let mutex = *table.objects.get::<Mutex<'_>>(handle)?;
    if let Some(guard) = mutex.lock_timeout(Duration::ZERO)? {
        return Ok(kept(guard));
    }
    let locking = mutex.locking(table.objects.owner(handle)?);
    table.block(handle, locking, call.time(1))
}

/// `tryLock(mutex)`.
pub(super) fn try_lock(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let mutex = table.objects.get::<Mutex<'_>>(call.handle(0))?;
    Ok(mutex.try_lock()?.map_or(NO, kept))
}

/// `locking(mutex)`: an operation.
pub(super) fn locking(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let mutex = *table.objects.get::<Mutex<'_>>(handle)?;
    let locking = mutex.locking(table.objects.owner(handle)?);
    Ok(table.begin(handle, locking))
}

/// `unlock(mutex)`: on behalf of the owner in this process that holds it.
pub(super) fn unlock(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    Ok(table.objects.get::<Mutex<'_>>(call.handle(0))?.unlock()?)
}

/// `endLock(mutex)`: on behalf of this environment.
pub(super) fn end_lock(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    Ok(table.objects.get::<Mutex<'_>>(call.handle(0))?.unlock_as_owner()?)
}
