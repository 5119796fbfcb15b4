//! The condition. An answer has bit 0 if the previous owner of the mutex died, and bit 1 if the wait ended before its
//! time limit.

use super::{
    call::Call,
    objects::{Objects, Part},
    operations::{GivenUp, Operation, answer},
    place::Place,
    sound::check_sound,
    table::Table,
};
use crate::{attachments::Number, failure::Failure};
use shm_sync::{Condition, Mutex, Step, Waiting};

impl Part for Condition<'static> {}

/// `openCondition(attachment, offset, room)`: the object.
pub(super) fn open(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&call.env())?;
    let condition = Condition::open(place.region, 0, live)?;
    Ok(table.objects.add(place.number, Some(owner), condition))
}

/// A wait with a mutex, which may lie in another attachment.
#[derive(Debug)]
struct WaitingFor {
    waiting: Waiting<'static>,
    mutex: Number,
}

impl Operation for WaitingFor {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        let step = self.waiting.step()?;
        Ok(answer(step, |guard| {
            let owner_died = guard.owner_died();
            guard.keep();
            i32::from(owner_died) | i32::from(self.waiting.notified()) << 1
        }))
    }

    fn other_attachment(&self) -> Option<Number> {
        Some(self.mutex)
    }

    fn give_up(&mut self) -> Result<GivenUp, Failure> {
        self.waiting.give_up();
        // After a wait the mutex is held, however the wait ended.
        Ok(GivenUp::GoesOn)
    }
}

fn begin<const N: usize>(table: &mut Table, call: &Call<N>) -> Result<(usize, WaitingFor), Failure> {
    let handle = call.handle(0);
    let condition = *table.objects.get::<Condition<'_>>(handle)?;
    let guard = table.objects.get::<Mutex<'_>>(call.handle(1))?.resume()?;
    let mutex = table.objects.number(call.handle(1));
    Ok((handle, WaitingFor { waiting: condition.waiting(guard)?, mutex }))
}

/// `waitFor(condition, mutex, timeout)`: unlocks the mutex, waits, and locks it again.
pub(super) fn wait(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let (handle, waiting) = begin(table, call)?;
    table.block(handle, waiting, call.time(2))
}

/// `waiting(condition, mutex)`: unlocks the mutex, and returns an operation that waits.
pub(super) fn waiting(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let (handle, waiting) = begin(table, call)?;
    Ok(table.begin(handle, waiting))
}

/// `notifyOne(condition)`: whether a waiter was asleep.
pub(super) fn notify_one(table: &mut Table, call: &Call<1>) -> Result<bool, Failure> {
    let slept = table.objects.get::<Condition<'_>>(call.handle(0))?.notify_one();
    check_sound(table.objects.number(call.handle(0)))?;
    Ok(slept)
}

/// `notifyAll(condition)`: how many waiters were asleep.
pub(super) fn notify_all(table: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    let slept = table.objects.get::<Condition<'_>>(call.handle(0))?.notify_all();
    check_sound(table.objects.number(call.handle(0)))?;
    Ok(slept as f64)
}
