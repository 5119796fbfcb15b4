//! Who takes the steps of an operation: a call that blocks does; one that does not sleeps between them, and JavaScript has
//! it take the next one when it is told.

use super::{
    call::Call,
    errors,
    objects::Objects,
    operations::{AGAIN, GivenUp, NO, Operation, Running, SHORT, drive},
    table::Table,
};
use crate::{attachments::Number, failure::Failure};
use shm_sync::Pause;
use std::{
    ptr::NonNull,
    time::{Duration, Instant},
};

impl Table {
    /// Blocks the thread until an operation is done or time is up. Where that takes long, it comes back with `AGAIN`,
    /// and is to go on.
    pub(super) fn block(
        &mut self,
        handle: usize,
        mut operation: impl Operation + 'static,
        timeout: Option<Duration>,
    ) -> Result<i32, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let answer = drive(&mut operation, &mut self.objects, deadline)?;
        if let Some(answer) = answer.filter(|answer| *answer != AGAIN) {
            return Ok(answer);
        }
        let number = self.objects.number(handle);
        self.come_back(Running::new(number, operation, deadline), answer)
    }

    fn come_back(&mut self, mut running: Running, answer: Option<i32>) -> Result<i32, Failure> {
        let answer = match answer {
            Some(answer) => answer,
            None => match running.operation()?.give_up()? {
                GivenUp::Yes => NO,
                GivenUp::Done(answer) => answer,
                GivenUp::GoesOn => {
                    running.deadline = None;
                    AGAIN
                }
            },
        };
        if answer == AGAIN {
            self.blocking = Some(running);
        }
        Ok(answer)
    }

    /// Begins an operation that does not block, on an object.
    pub(super) fn begin(&mut self, handle: usize, operation: impl Operation + 'static) -> i32 {
        let number = self.objects.number(handle);
        self.begin_in(number, operation)
    }

    /// Begins one in an attachment.
    pub(super) fn begin_in(&mut self, number: Number, operation: impl Operation + 'static) -> i32 {
        i32::try_from(self.running.add(Running::new(number, operation, None))).unwrap_or(i32::MAX)
    }

    /// The answer of a call that was to copy a message of some length into `room` bytes.
    pub(super) fn received(&self, length: Option<usize>, room: usize, nothing: i32) -> i32 {
        match length {
            None => nothing,
            Some(length) if length > room => {
                self.out.set(0, length as i32);
                SHORT
            }
            Some(length) => length as i32,
        }
    }

    fn running(&mut self, operation: usize) -> Result<(&mut Running, &mut Objects), Failure> {
        let running = self.running.get(operation).ok_or_else(|| Failure::internal("no such operation"))?;
        Ok((running, &mut self.objects))
    }
}

/// `goOn()`: as the blocking call that gave `AGAIN`.
pub(super) fn go_on(table: &mut Table, _: &Call<0>) -> Result<i32, Failure> {
    let mut running = table.blocking.take().ok_or_else(errors::detached)?;
    let deadline = running.deadline;
    let answer = drive(running.operation()?, &mut table.objects, deadline)?;
    table.come_back(running, answer)
}

/// `step(operation, door, slot)`: its answer; or `AGAIN`, and it sleeps until that slot is told.
pub(super) fn step(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let (running, objects) = table.running(call.handle(0))?;
    running.get_up();
    let answer = running.step(objects)?;
    let Some(Pause { cell, expected }) = running.pause.filter(|_| answer < 0) else { return Ok(answer) };
    let number = running.number;
    let token = table.sleep(number, NonNull::from(cell), expected, (call.unsigned(1), call.handle(2)))?;
    table.running(call.handle(0))?.0.asleep = Some(token);
    Ok(AGAIN)
}

/// `look(operation)`: takes a step of one that sleeps. Its answer; `AGAIN` where it is to sleep on; `WAIT` where it is
/// to sleep otherwise.
pub(super) fn look(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let (running, objects) = table.running(call.handle(0))?;
    running.step(objects)
}

/// `giveUp(operation)`: `NO`; `AGAIN` where it has to go on all the same; its answer where it was done.
pub(super) fn give_up(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let (running, _) = table.running(call.handle(0))?;
    Ok(match running.operation()?.give_up()? {
        GivenUp::Yes => NO,
        GivenUp::GoesOn => AGAIN,
        GivenUp::Done(answer) => answer,
    })
}

/// `end(operation)`: JavaScript has done with it. A wake-up that it is told of yet is another one's: see `passOn`.
pub(super) fn end(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    if let Some(mut running) = table.running.remove(call.handle(0)) {
        running.get_up();
    }
    Ok(())
}

/// `free(object)`: JavaScript has it no more.
pub(super) fn free(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    table.objects.remove(call.handle(0), &call.env());
    Ok(())
}
