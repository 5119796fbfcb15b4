//! Who takes the steps of an operation: a call that blocks does; one that does not sleeps between them, and JavaScript
//! has it take the next one when it is told.

use super::{
    call::Call,
    errors,
    objects::Objects,
    operations::{AGAIN, GivenUp, NO, Operation, Running, SHORT, drive},
    table::{Sleep, Table},
};
use crate::{attachments::Number, failure::Failure};
use shm_sync::Pause;
use std::{
    ptr::NonNull,
    time::{Duration, Instant},
};

impl Table {
    /// Blocks the thread until an operation is done or time is up. If that takes long, it returns `AGAIN`, and
    /// JavaScript has to call `goOn`.
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

    /// Begins an operation in an attachment.
    pub(super) fn begin_in(&mut self, number: Number, operation: impl Operation + 'static) -> i32 {
        i32::try_from(self.running.add(Running::new(number, operation, None))).unwrap_or(i32::MAX)
    }

    /// The answer of a call that copies a message of some length into `room` bytes.
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

/// `goOn()`: continues the blocking call that returned `AGAIN`, and has its answers.
pub(super) fn go_on(table: &mut Table, _: &Call<0>) -> Result<i32, Failure> {
    let mut running = table.blocking.take().ok_or_else(errors::detached)?;
    let deadline = running.deadline;
    let answer = drive(running.operation()?, &mut table.objects, deadline)?;
    table.come_back(running, answer)
}

/// `step(operation, door, slot)`: its answer; or `AGAIN`: it sleeps until the door reports that slot.
pub(super) fn step(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let (running, objects) = table.running(call.handle(0))?;
    running.get_up();
    let answer = running.step(objects)?;
    let Some(Pause { cell, expected }) = running.pause.filter(|_| answer < 0) else { return Ok(answer) };
    let word = NonNull::from(cell);
    let passes_on = running.operation()?.passes_on();
    let sleep = Sleep { number: running.attachment_of(word), word, passes_on };
    let token = table.sleep(sleep, expected, (call.unsigned(1), call.handle(2)))?;
    table.running(call.handle(0))?.0.asleep = Some(token);
    Ok(AGAIN)
}

/// `look(operation)`: takes a step of a sleeping operation. Its answer; or `AGAIN`: it sleeps on; or `WAIT`: it has to
/// sleep on another word or value.
pub(super) fn look(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let (running, objects) = table.running(call.handle(0))?;
    running.step(objects)
}

/// `giveUp(operation)`: `NO`; or `AGAIN` if it has to go on all the same; or its answer if it had succeeded before.
pub(super) fn give_up(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let (running, _) = table.running(call.handle(0))?;
    Ok(match running.operation()?.give_up()? {
        GivenUp::Yes => NO,
        GivenUp::GoesOn => AGAIN,
        GivenUp::Done(answer) => answer,
    })
}

/// `end(operation)`: JavaScript does not need it any more. A later wake-up for it belongs to another waiter: see
/// `passOn`.
pub(super) fn end(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    if let Some(mut running) = table.running.remove(call.handle(0)) {
        running.get_up();
    }
    Ok(())
}

/// `free(object)`: JavaScript does not have the object any more.
pub(super) fn free(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    table.objects.remove(call.handle(0), &call.env());
    Ok(())
}
