//! Wait and notify, and how JavaScript sleeps between the steps of an operation.

use super::{
    call::Call,
    errors,
    objects::Objects,
    operations::{AGAIN, CallSlice, Operation},
    place::word,
    sound::check_sound,
    table::{Sleep, Table},
};
use crate::{
    alarms,
    attachments::{self, Number},
    deaths, doors,
    failure::Failure,
    waits,
};
use shm_api::OsError;
use shm_sync::{Outcome, Pause, Step};
use std::{
    ptr::NonNull,
    sync::atomic::{
        AtomicU32,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

/// `wait(attachment, offset, expected, timeout)`: 0: woken; 1: the word has another value; 2: time is up.
pub(super) fn wait(_: &mut Table, call: &Call<4>) -> Result<i32, Failure> {
    let (number, slice) = (call.unsigned(0), CallSlice::of(call.time(3)));
    let word = word(number, call.number(1))?;
    // SAFETY: it lies in an attachment of this thread, which is busy here and so detaches nothing.
    let word = unsafe { word.as_ref() };
    // Read first, so that a part that was cut off is noticed.
    word.load(Relaxed);
    check_sound(number)?;
    let outcome = shm_sync::wait(word, call.unsigned(2), Some(slice.time()));
    check_sound(number)?;
    Ok(match outcome? {
        Outcome::Woken => 0,
        Outcome::NotEqual => 1,
        Outcome::TimedOut if slice.over() == AGAIN => AGAIN,
        Outcome::TimedOut => 2,
    })
}

/// `notify(attachment, offset, count)`: how many were woken.
#[inline]
pub(super) fn notify(_: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let number = call.unsigned(0);
    let word = word(number, call.number(1))?;
    // SAFETY: as above.
    let woken = shm_sync::notify(unsafe { word.as_ref() }, call.unsigned(2));
    check_sound(number)?;
    Ok(woken as i32)
}

/// `openDoor(callback)`: its number; `callback(slot, how)` is called for each wait and alarm of it that ended.
pub(super) fn open_door(_: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(doors::open(&call.env(), call.value(0))?.into())
}

/// `keepAlive(door, wanted)`: whether what is pending there keeps this environment alive.
pub(super) fn keep_alive(_: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    Ok(doors::keep_alive(&call.env(), call.unsigned(0), call.flag(1))?)
}

/// `now()`: milliseconds of a clock that never goes back, and that no program can replace.
pub(super) fn now(_: &mut Table, _: &Call<0>) -> Result<f64, Failure> {
    Ok(alarms::now())
}

/// `setAlarm(milliseconds, door, slot)`: the number by which to cancel it.
pub(super) fn set_alarm(_: &mut Table, call: &Call<3>) -> Result<f64, Failure> {
    let after = call.time(0).unwrap_or(Duration::MAX);
    Ok(alarms::set(doors::find(call.unsigned(1))?, call.unsigned(2), after)? as f64)
}

/// `cancelAlarm(alarm)`: false if it was reported already.
pub(super) fn cancel_alarm(_: &mut Table, call: &Call<1>) -> Result<bool, Failure> {
    Ok(alarms::cancel(call.number(0) as u64))
}

/// `watchDeaths()`: whether deaths are reported to a door from now on, of owners whose live files are in use now.
pub(super) fn watch_deaths(_: &mut Table, _: &Call<0>) -> Result<bool, Failure> {
    Ok(deaths::watch())
}

/// `awaitDeath(door, slot)`: the slot is told when an owner may have died.
pub(super) fn await_death(_: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    deaths::tell(doors::find(call.unsigned(0))?, call.unsigned(1));
    Ok(())
}

impl Table {
    /// Begins to sleep while a word has the expected value; returns the token that cancels it.
    pub(super) fn sleep(
        &mut self,
        sleep: Sleep,
        expected: u32,
        (door, slot): (u32, usize),
    ) -> Result<u64, Failure> {
        let door = doors::find(door)?;
        // SAFETY: attachments end through `attachments`, which calls `waits::leave`.
        let token = unsafe { waits::begin(door, sleep.word, expected, None, slot as u32) }?;
        if self.sleeping.len() <= slot {
            self.sleeping.resize(slot + 1, None);
        }
        self.sleeping[slot] = Some(sleep);
        Ok(token)
    }
}

/// `holds(attachment, offset, expected)`: whether the word has the expected value.
pub(super) fn holds(_: &mut Table, call: &Call<3>) -> Result<bool, Failure> {
    let number = call.unsigned(0);
    // SAFETY: it lies in an attachment of this thread, which is busy here and so detaches nothing.
    let found = unsafe { word(number, call.number(1))?.as_ref() }.load(SeqCst);
    check_sound(number)?;
    Ok(found == call.unsigned(2))
}

/// A wait for a notification, as an operation. Its answer says how its sleep ended.
#[derive(Debug)]
struct Watching {
    number: Number,
    word: NonNull<AtomicU32>,
    expected: u32,
}

impl Operation for Watching {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        check_sound(self.number)?;
        // SAFETY: it lies in an attachment that is not let go while the operation is there: see `table::leave`.
        let cell = unsafe { self.word.as_ref() };
        Ok(Step::Wait(Pause { cell, expected: self.expected }))
    }

    /// JavaScript hears of the wake-up.
    fn passes_on(&self) -> bool {
        false
    }
}

/// `watch(attachment, offset, expected)`: an operation.
pub(super) fn watch(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let number = call.unsigned(0);
    let word = word(number, call.number(1))?;
    Ok(table.begin_in(number, Watching { number, word, expected: call.unsigned(2) }))
}

/// `passOn(slot)`: passes on the wake-up of a wait that has been given up to another waiter.
pub(super) fn pass_on(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    if let Some(&Some(Sleep { number, word, .. })) = table.sleeping.get(call.handle(0))
        && attachments::data(number).is_some()
    {
        // SAFETY: its segment is attached.
        shm_sync::notify(unsafe { word.as_ref() }, 1);
    }
    Ok(())
}

/// `failWait(slot, errno)`: throws the error for a sleep that failed: its segment was detached, its word was cut off,
/// or the system refused.
pub(super) fn fail_wait(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    if let Some(&Some(Sleep { number, word, .. })) = table.sleeping.get(call.handle(0))
        && attachments::data(number).is_some()
    {
        // SAFETY: its segment is attached. Read, so that what was cut off is known by then.
        unsafe { word.as_ref() }.load(Relaxed);
        check_sound(number)?;
    }
    Err(match call.integer(1) {
        0 => errors::detached(),
        errno => OsError::new("futex", errno).into(),
    })
}
