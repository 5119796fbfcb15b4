//! The once-flag. An answer is 0 if the work has been done, 1 if it is our turn, and 3 if it is our turn because the
//! previous owner died during the work.

use super::{
    call::Call,
    objects::{Objects, Part},
    operations::Operation,
    place::Place,
    sound::check_sound,
    table::Table,
};
use crate::failure::Failure;
use shm_sync::{Beginning, Once, Step, Turn};

/// The flag, and our turn.
#[derive(Debug)]
pub(crate) struct Flag {
    once: Once<'static>,
    turn: Option<Turn<'static>>,
}

impl Part for Flag {}

/// `openOnce(attachment, offset, room)`: the object.
pub(super) fn open(table: &mut Table, call: &Call<3>) -> Result<i32, Failure> {
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&call.env())?;
    let once = Once::open(place.region, 0, live)?;
    Ok(table.objects.add(place.number, Some(owner), Flag { once, turn: None }))
}

/// `isDone(once)`.
pub(super) fn is_done(table: &mut Table, call: &Call<1>) -> Result<bool, Failure> {
    Ok(table.objects.get::<Flag>(call.handle(0))?.once.is_done())
}

#[derive(Debug)]
struct TakingTurns {
    handle: usize,
    beginning: Beginning<'static>,
}

impl Operation for TakingTurns {
    fn attempt(&mut self, objects: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        let turn = match self.beginning.step()? {
            Step::Wait(pause) => return Ok(Step::Wait(pause)),
            Step::Ready(None) => return Ok(Step::Ready(0)),
            Step::Ready(Some(turn)) => turn,
        };
        let answer = 1 + 2 * i32::from(turn.owner_died());
        objects.get::<Flag>(self.handle)?.turn = Some(turn);
        Ok(Step::Ready(answer))
    }

    fn check_deadlock(&self, _: bool) -> Result<(), Failure> {
        Ok(self.beginning.check_deadlock()?)
    }
}

fn taking_turns(table: &mut Table, handle: usize) -> Result<TakingTurns, Failure> {
    let owner = table.objects.owner(handle)?;
    let beginning = table.objects.get::<Flag>(handle)?.once.beginning(owner);
    Ok(TakingTurns { handle, beginning })
}

/// `takeTurn(once)`: waits until the work is done or it is our turn.
pub(super) fn take_turn(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let taking = taking_turns(table, handle)?;
    table.block(handle, taking, None)
}

/// `takingTurns(once)`: an operation.
pub(super) fn taking(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let taking = taking_turns(table, handle)?;
    Ok(table.begin(handle, taking))
}

/// `endTurn(once, done)`: the work is done, or the next caller gets the turn.
pub(super) fn end_turn(table: &mut Table, call: &Call<2>) -> Result<(), Failure> {
    let turn = table.objects.get::<Flag>(call.handle(0))?.turn.take();
    match turn {
        Some(turn) if call.flag(1) => turn.done(),
        turn => drop(turn),
    }
    check_sound(table.objects.number(call.handle(0)))
}
