//! The read-write lock. A reader's answer is its number, doubled, plus 1 if the last writer died.

use super::{
    call::Call,
    objects::{Objects, Part},
    operations::{NO, Operation, answer},
    place::Place,
    table::Table,
};
use crate::failure::Failure;
use shm_sync::{ReadGuard, Reading, RwLock, Step, WriteGuard, Writing};

impl Part for RwLock<'static> {}

/// `rwLockLength(readers)`: how many bytes it takes.
pub(super) fn length(_: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(RwLock::byte_len(call.unsigned(0)) as f64)
}

/// `openRwLock(attachment, offset, room, readers)`: the object and its readers. With 0 readers, it opens an existing
/// lock.
pub(super) fn open(table: &mut Table, call: &Call<4>) -> Result<[f64; 2], Failure> {
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&call.env())?;
    let lock = match call.unsigned(3) {
        0 => RwLock::attach(place.region, 0, live)?,
        readers => RwLock::open(place.region, 0, readers, live)?,
    };
    let handle = table.objects.add(place.number, Some(owner), lock.for_owner(owner));
    Ok([handle.into(), lock.readers().into()])
}

#[inline]
fn kept(guard: ReadGuard<'static>) -> i32 {
    let owner_died = guard.owner_died();
    guard.keep().cast_signed() * 2 + i32::from(owner_died)
}

#[inline]
fn kept_writing(guard: WriteGuard<'static>) -> i32 {
    let owner_died = guard.owner_died();
    guard.keep();
    owner_died.into()
}

impl Operation for Reading<'static> {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        Ok(answer(self.step()?, kept))
    }

    fn check_deadlock(&self, for_ever: bool) -> Result<(), Failure> {
        Ok(Reading::check_deadlock(self, for_ever)?)
    }
}

impl Operation for Writing<'static> {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        Ok(answer(self.step()?, kept_writing))
    }
}

/// `read(lock, timeout)`.
pub(super) fn read(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let lock = table.objects.get::<RwLock<'_>>(handle)?;
    if let Some(guard) = lock.try_read()? {
        return Ok(kept(guard));
    }
    let lock = *lock;
    let reading = lock.reading(table.objects.owner(handle)?);
    table.block(handle, reading, call.time(1))
}

/// `tryRead(lock)`.
pub(super) fn try_read(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.try_read()?.map_or(NO, kept))
}

/// `reading(lock)`: an operation.
pub(super) fn reading(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let lock = *table.objects.get::<RwLock<'_>>(handle)?;
    let reading = lock.reading(table.objects.owner(handle)?);
    Ok(table.begin(handle, reading))
}

/// `isWritten(lock)`: whether a writer has it, or waits for readers to end.
pub(super) fn is_written(table: &mut Table, call: &Call<1>) -> Result<bool, Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.is_written())
}

/// `write(lock, timeout)`.
pub(super) fn write(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let lock = table.objects.get::<RwLock<'_>>(handle)?;
    if let Some(guard) = lock.try_write()? {
        return Ok(kept_writing(guard));
    }
    let lock = *lock;
    let writing = lock.writing(table.objects.owner(handle)?);
    writing.check_deadlock()?;
    table.block(handle, writing, call.time(1))
}

/// `tryWrite(lock)`.
pub(super) fn try_write(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.try_write()?.map_or(NO, kept_writing))
}

/// `writing(lock)`: an operation.
pub(super) fn writing(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let lock = *table.objects.get::<RwLock<'_>>(handle)?;
    let writing = lock.writing(table.objects.owner(handle)?);
    Ok(table.begin(handle, writing))
}

/// `releaseRead(lock, reader)`: on behalf of the owner in this process that reads there.
pub(super) fn release_read(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.end_read(call.unsigned(1))?)
}

/// `releaseWrite(lock)`: on behalf of the owner in this process that writes.
pub(super) fn release_write(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.end_write()?)
}

/// `endRead(lock, reader)`: on behalf of this environment.
pub(super) fn end_read(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.end_read_as_owner(call.unsigned(1))?)
}

/// `endWrite(lock)`: on behalf of this environment.
pub(super) fn end_write(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    Ok(table.objects.get::<RwLock<'_>>(call.handle(0))?.end_write_as_owner()?)
}
