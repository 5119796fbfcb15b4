//! Calls that may have to wait, in steps.

use super::{errors, objects::Objects};
use crate::{
    attachments::{self, Number},
    failure::Failure,
    waits,
};
use shm_sync::{PATIENCE, Pause, Step};
use std::{
    fmt,
    ptr::NonNull,
    sync::atomic::AtomicU32,
    time::{Duration, Instant},
};

/// There is no result now, or time is up.
pub(super) const NO: i32 = -1;
/// JavaScript has to make a blocking call again; an operation sleeps.
pub(super) const AGAIN: i32 = -2;
/// An operation has to sleep on another word or value than it does now.
pub(super) const WAIT: i32 = -3;
/// The target is too short: the first further answer is the length of the message.
pub(super) const SHORT: i32 = -4;

/// The answers that are not results, by their names in JavaScript.
pub(super) const ANSWERS: [(&str, i32); 4] = [("NO", NO), ("AGAIN", AGAIN), ("WAIT", WAIT), ("SHORT", SHORT)];

/// A call that blocks returns after this time at the latest, so that V8 can end the thread of a terminated worker.
const SLICE: Duration = Duration::from_millis(100);

/// The result of giving up.
pub(super) enum GivenUp {
    /// The operation has ended.
    Yes,
    /// The operation has something left to do, and has no time limit for it.
    GoesOn,
    /// The operation had succeeded before.
    Done(i32),
}

/// A call that may have to wait.
pub(super) trait Operation: fmt::Debug {
    /// Makes one attempt; returns its result, or what to wait for.
    fn attempt(&mut self, objects: &mut Objects) -> Result<Step<'static, i32>, Failure>;

    /// Returns an error if a caller that blocks would wait for itself.
    fn check_deadlock(&self, _for_ever: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// The attachment of the words that it uses outside that of its object.
    fn other_attachment(&self) -> Option<Number> {
        None
    }

    /// Whether a wake-up that comes when the operation has ended is for another waiter.
    fn passes_on(&self) -> bool {
        true
    }

    /// Gives up, because time is up or because the result is not wanted any more.
    fn give_up(&mut self) -> Result<GivenUp, Failure> {
        Ok(GivenUp::Yes)
    }
}

/// An operation under way.
#[derive(Debug)]
pub(super) struct Running {
    /// The attachments that it uses: one, or two.
    numbers: [Number; 2],
    operation: Option<Box<dyn Operation>>,
    pub(super) pause: Option<Pause<'static>>,
    pub(super) deadline: Option<Instant>,
    /// The token that cancels its last sleep.
    pub(super) asleep: Option<u64>,
}

impl Running {
    pub(super) fn new(
        number: Number,
        operation: impl Operation + 'static,
        deadline: Option<Instant>,
    ) -> Self {
        let numbers = [number, operation.other_attachment().unwrap_or(number)];
        Self { numbers, operation: Some(Box::new(operation)), pause: None, deadline, asleep: None }
    }

    pub(super) fn uses(&self, is_it: impl Fn(Number) -> bool) -> bool {
        self.numbers.into_iter().any(is_it)
    }

    /// The attachment of one of its words.
    pub(super) fn attachment_of(&self, word: NonNull<AtomicU32>) -> Number {
        let has = |number| {
            attachments::data(number).is_some_and(|(start, size, _)| {
                (start.addr().get()..start.addr().get() + size).contains(&word.addr().get())
            })
        };
        let [first, other] = self.numbers;
        if other != first && has(other) { other } else { first }
    }

    pub(super) fn operation(&mut self) -> Result<&mut dyn Operation, Failure> {
        match &mut self.operation {
            Some(operation) => Ok(&mut **operation),
            None => Err(errors::detached()),
        }
    }

    /// Called before a segment that it uses is let go.
    pub(super) fn leave(&mut self) {
        let [first, other] = self.numbers;
        if other != first {
            self.get_up(); // its word may be in the other one
        }
        (self.operation, self.pause) = (None, None);
    }

    /// Ends its sleep, if it sleeps.
    pub(super) fn get_up(&mut self) {
        if let Some(token) = self.asleep.take() {
            waits::cancel(token);
        }
    }

    pub(super) fn step(&mut self, objects: &mut Objects) -> Result<i32, Failure> {
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
pub(super) fn drive(
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

/// How long a waiting call may take. It returns after a slice, and JavaScript makes it again with the remaining time.
pub(super) struct CallSlice {
    time: Duration,
    is_all: bool,
}

impl CallSlice {
    pub(super) fn of(timeout: Option<Duration>) -> Self {
        let all = timeout.filter(|all| *all <= SLICE);
        Self { time: all.unwrap_or(SLICE), is_all: all.is_some() }
    }

    pub(super) const fn time(&self) -> Duration {
        self.time
    }

    /// The answer if there is no result yet.
    pub(super) const fn over(&self) -> i32 {
        if self.is_all { NO } else { AGAIN }
    }
}

/// The result of a step, as an answer.
pub(super) fn answer<T>(step: Step<'static, T>, answer: impl FnOnce(T) -> i32) -> Step<'static, i32> {
    match step {
        Step::Ready(value) => Step::Ready(answer(value)),
        Step::Wait(pause) => Step::Wait(pause),
    }
}
