//! The barrier. An answer is 1 for the last party, and 0 for the others.

use super::{
    call::Call,
    errors,
    objects::{Objects, Part},
    operations::{GivenUp, Operation, answer},
    place::Place,
    sound::check_sound,
    table::Table,
};
use crate::failure::Failure;
use shm_sync::{Arrival, Barrier, Step};

/// One party of a barrier.
pub(super) type Party = shm_sync::Party<'static>;

impl Part for Barrier<'static> {}
impl Part for Party {}

/// `barrierLength(parties)`: how many bytes it takes.
pub(super) fn length(_: &mut Table, call: &Call<1>) -> Result<f64, Failure> {
    Ok(Barrier::byte_len(call.unsigned(0)) as f64)
}

/// `openBarrier(attachment, offset, room, parties)`: the object and its parties. With 0 parties, it opens an existing
/// barrier.
pub(super) fn open(table: &mut Table, call: &Call<4>) -> Result<[f64; 2], Failure> {
    let place = Place::of(call)?;
    let (live, owner) = place.writable(&call.env())?;
    let barrier = match call.unsigned(3) {
        0 => Barrier::attach(place.region, 0, live)?,
        parties => Barrier::open(place.region, 0, parties, live)?,
    };
    let handle = table.objects.add(place.number, Some(owner), barrier.for_owner(owner));
    Ok([handle.into(), barrier.parties().into()])
}

/// `join(barrier)`: a party.
pub(super) fn join(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let party = table.objects.get::<Barrier<'_>>(handle)?.join()?;
    let number = table.objects.number(handle);
    Ok(table.objects.add(number, None, party))
}

/// A party that has arrived.
#[derive(Debug)]
struct Meeting(Option<Arrival<'static>>);

impl Operation for Meeting {
    fn attempt(&mut self, _: &mut Objects) -> Result<Step<'static, i32>, Failure> {
        let arrival = self.0.as_mut().ok_or_else(errors::detached)?;
        Ok(answer(arrival.step()?, i32::from))
    }

    fn give_up(&mut self) -> Result<GivenUp, Failure> {
        let given_up = self.0.take().map(Arrival::give_up).transpose()?;
        Ok(given_up.flatten().map_or(GivenUp::Yes, |last| GivenUp::Done(last.into())))
    }
}

fn arrive(table: &mut Table, party: usize) -> Result<Meeting, Failure> {
    Ok(Meeting(Some(table.objects.get::<Party>(party)?.arrive()?)))
}

/// `meet(party, timeout)`: arrives, and waits for the others.
pub(super) fn meet(table: &mut Table, call: &Call<2>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let meeting = arrive(table, handle)?;
    table.block(handle, meeting, call.time(1))
}

/// `meeting(party)`: arrives, and returns an operation that waits for the others.
pub(super) fn meeting(table: &mut Table, call: &Call<1>) -> Result<i32, Failure> {
    let handle = call.handle(0);
    let meeting = arrive(table, handle)?;
    Ok(table.begin(handle, meeting))
}

/// `leaveBarrier(party)`.
pub(super) fn leave(table: &mut Table, call: &Call<1>) -> Result<(), Failure> {
    let handle = call.handle(0);
    table.objects.get::<Party>(handle)?;
    table.objects.end(handle);
    check_sound(table.objects.number(handle))
}
