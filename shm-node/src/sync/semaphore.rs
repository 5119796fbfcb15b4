//! The semaphore. An answer is the permit's number, doubled, plus 1 if its last owner died.

use super::{
    call::Call,
    objects::{Objects, Part},
    operations::{NO, Operation, answer},
    place::Place,
    table::Table,
};
use crate::failure::Failure;
use shm_sync::{Acquiring, Permit, Semaphore, Step};

impl Part for Semaphore<'static> {}

/// `semaphoreLength(permits)`: how many bytes it takes.
pub(super) fn length(_: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(Semaphore::byte_len(call.unsigned(0)) as f64)
}

/// `openSemaphore(attachment, offset, room, permits)`: the object and its permits. With 0 permits, it opens an existing
/// semaphore.
pub(super) fn open(table: &mut Table, call: &Call<4>) -> Result<[f64; 2], Failure> {
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&call.env())?;
    let semaphore = match call.unsigned(3) {
        0 => Semaphore::attach(place.region, 0, live)?,
        permits => Semaphore::open(place.region, 0, permits, live)?,
    };
    let handle = table.objects.add(place.number, Some(owner), semaphore.for_owner(owner));
    Ok([handle.into(), semaphore.permits().into()])
}

#[inline]
fn kept(permit: Permit<'static>) -> i32 {
    let owner_died = permit.owner_died();
    permit.keep().cast_signed() * 2 + i32::from(owner_died)
}

impl Operation for Acquiring<'static> {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        Ok(answer(self.step()?, kept))
    }

    fn check_deadlock(&self, for_ever: bool) -> Result<(), Failure> {
        if for_ever { Ok(Acquiring::check_deadlock(self)?) } else { Ok(()) }
    }
}

/// `acquire(semaphore, timeout)`.
pub(super) fn acquire(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let semaphore = table.objects.get::<Semaphore<'_>>(handle)?;
    if let Some(permit) = semaphore.try_acquire()? {
        return Ok(kept(permit));
    }
    let semaphore = *semaphore;
    let acquiring = semaphore.acquiring(table.objects.owner(handle)?);
    table.block(handle, acquiring, call.time(1))
}

/// `tryAcquire(semaphore)`.
pub(super) fn try_acquire(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let semaphore = table.objects.get::<Semaphore<'_>>(call.handle(0))?;
    Ok(semaphore.try_acquire()?.map_or(NO, kept))
}

/// `acquiring(semaphore)`: an operation.
pub(super) fn acquiring(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let semaphore = *table.objects.get::<Semaphore<'_>>(handle)?;
    let acquiring = semaphore.acquiring(table.objects.owner(handle)?);
    Ok(table.begin(handle, acquiring))
}

/// `release(semaphore, permit)`: on behalf of the owner in this process that has it.
pub(super) fn release(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    Ok(table.objects.get::<Semaphore<'_>>(call.handle(0))?.release(call.unsigned(1))?)
}

/// `endPermit(semaphore, permit)`: on behalf of this environment.
pub(super) fn end_permit(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    Ok(table.objects.get::<Semaphore<'_>>(call.handle(0))?.release_as_owner(call.unsigned(1))?)
}
