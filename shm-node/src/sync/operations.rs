//! What may have to wait: in steps. A call that blocks takes them here; one that does not sleeps between them, and
//! JavaScript has it take the next one when it is told.

use super::{
    call::Call,
    errors,
    table::{Objects, Table},
    waits::milliseconds,
};
use crate::{attachments::Number, failure::Failure, waits};
use shm_sync::{PATIENCE, Pause, Step};
use std::{
    fmt,
    ptr::NonNull,
    time::{Duration, Instant},
};

/// Not now; time is up.
pub(super) const NO: i32 = -1;
/// A blocking call is to be made again; an operation sleeps.
pub(super) const AGAIN: i32 = -2;
/// An operation has to sleep, and otherwise than it does.
pub(super) const WAIT: i32 = -3;
/// The target is too short: the first further answer tells how long the message is.
pub(super) const SHORT: i32 = -4;

/// The answers that are no results, by the names that JavaScript has for them.
pub(super) const ANSWERS: [(&str, i32); 4] = [("NO", NO), ("AGAIN", AGAIN), ("WAIT", WAIT), ("SHORT", SHORT)];

/// A call that blocks comes back at least as often, so that V8 can end the thread of a worker that is terminated.
const SLICE: Duration = Duration::from_millis(100);

/// What giving up came to.
pub(super) enum GivenUp {
    /// It has.
    Yes,
    /// There is something left to do, for which no time is too long.
    GoesOn,
    /// It was done before.
    Done(i32),
}

/// Something that may have to wait.
pub(super) trait Operation: fmt::Debug {
    /// One attempt, or what to wait for.
    fn attempt(&mut self, objects: &mut Objects) -> Result<Step<'static, i32>, Failure>;

    /// An error if a caller that blocks would wait for itself.
    fn check_deadlock(&self, _for_ever: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// Time is up, or nobody wants it any more.
    fn give_up(&mut self) -> Result<GivenUp, Failure> {
        Ok(GivenUp::Yes)
    }
}

/// An operation under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) number: Number,
    operation: Option<Box<dyn Operation>>,
    pause: Option<Pause<'static>>,
    deadline: Option<Instant>,
    /// What its last sleep is cancelled by.
    asleep: Option<u64>,
}

impl Running {
    fn new(number: Number, operation: impl Operation + 'static, deadline: Option<Instant>) -> Self {
        Self { number, operation: Some(Box::new(operation)), pause: None, deadline, asleep: None }
    }

    fn operation(&mut self) -> Result<&mut dyn Operation, Failure> {
        match &mut self.operation {
            Some(operation) => Ok(&mut **operation),
            None => Err(errors::detached()),
        }
    }

    /// Its segment is about to be let go.
    pub(super) fn leave(&mut self) {
        (self.operation, self.pause) = (None, None);
    }

    /// Ends its sleep, if that lasts.
    fn get_up(&mut self) {
        if let Some(token) = self.asleep.take() {
            waits::cancel(token);
        }
    }

    fn step(&mut self, objects: &mut Objects) -> Result<i32, Failure> {
        match self.operation()?.attempt(objects)? {
            Step::Ready(answer) => Ok(answer),
            Step::Wait(pause) => {
                let is =
                    |old: Pause<'_>| std::ptr::eq(old.cell, pause.cell) && old.expected == pause.expected;
                let same = self.pause.replace(pause).is_some_and(is);
                Ok(if same { AGAIN } else { WAIT })
            }
        }
    }
}

/// Takes steps until one is ready, time is up (`None`), or the slice is over (`AGAIN`).
fn drive(
    operation: &mut dyn Operation,
    objects: &mut Objects,
    deadline: Option<Instant>,
) -> Result<Option<i32>, Failure> {
    let end = Instant::now() + SLICE;
    loop {
        operation.check_deadlock(deadline.is_none())?;
        let Pause { cell, expected } = match operation.attempt(objects)? {
            Step::Ready(answer) => return Ok(Some(answer)),
            Step::Wait(pause) => pause,
        };
        let now = Instant::now();
        let left = deadline.map_or(PATIENCE, |deadline| deadline.saturating_duration_since(now));
        if left.is_zero() {
            return Ok(None);
        }
        if now >= end {
            return Ok(Some(AGAIN));
        }
        shm_sync::wait(cell, expected, Some(left.min(PATIENCE))).map_err(Failure::System)?;
    }
}

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

/// How long a call that waits may take, which comes back to be made again with what is left.
pub(super) struct CallSlice {
    time: Duration,
    is_all: bool,
}

impl CallSlice {
    pub(super) fn of(timeout: f64) -> Self {
        let all = milliseconds(timeout).filter(|all| *all <= SLICE);
        Self { time: all.unwrap_or(SLICE), is_all: all.is_some() }
    }

    pub(super) const fn time(&self) -> Duration {
        self.time
    }

    /// The answer where it came to nothing.
    pub(super) const fn over(&self) -> i32 {
        if self.is_all { NO } else { AGAIN }
    }
}

/// What a step came to, as an answer.
pub(super) fn answer<T>(step: Step<'static, T>, answer: impl FnOnce(T) -> i32) -> Step<'static, i32> {
    match step {
        Step::Ready(value) => Step::Ready(answer(value)),
        Step::Wait(pause) => Step::Wait(pause),
    }
}
