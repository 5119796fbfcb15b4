//! A number of parties that wait for each other.

use crate::protocol::{
    cell::{AtomicU32, Ordering, Words},
    futex,
    slots::{self, Slots},
    stamp::Kind,
    step::{Deadline, Patience, Pause, drive},
};
use crate::{Live, Owner, Region, Step, SyncError, caller::Caller, live, storm::may_die_here};
use std::time::Duration;

const KIND: Kind = Kind { name: "barrier", letter: b'B' };
const PARTIES: u32 = 8;
const STATE: u32 = 16;
const QUEUE: u32 = 20;
const SLOTS: u32 = 32;

// The state: bits 0 to 15 count who has arrived, bit 16 tells that the phase before was broken, the rest is
// the number of the phase.
const BROKEN: u32 = 1 << 16;
const PHASE: u32 = 1 << 17;

const fn phase(state: u32) -> u32 {
    state / PHASE
}

const fn arrived(state: u32) -> u32 {
    state % BROKEN
}

const fn next_phase(state: u32, broken: u32) -> u32 {
    (state & !(PHASE - 1)).wrapping_add(PHASE) | broken
}

/// A barrier in shared memory: nobody goes on until all parties have arrived, again and again.
///
/// Each party joins, so that one that is killed is found: those who wait then get [`SyncError::Broken`]
/// within 20 ms, once, and the phase begins again as soon as another party has joined in its place.
#[derive(Clone, Copy, Debug)]
pub struct Barrier<'a> {
    region: Region<'a>,
    slots: Slots<Region<'a>>,
    caller: Caller,
}

impl<'a> Barrier<'a> {
    /// How many bytes it takes; they begin at a multiple of 4.
    pub const fn byte_len(parties: u32) -> usize {
        SLOTS as usize + 4 * parties as usize
    }

    /// The barrier at `offset`. All-zero bytes become one.
    ///
    /// # Errors
    ///
    /// Where the place or the number of parties (1 to 65535) is no good, or something else is there.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        parties: u32,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        region.writable()?;
        if !(1..slots::MAX).contains(&parties) {
            let (option, must) = ("the number of parties", "1 to 65535");
            return Err(SyncError::OutOfRange { option, value: parties.into(), must });
        }
        let region = region.at(offset, Self::byte_len(parties))?;
        region.aligned(KIND.name, 4)?;
        KIND.stamp(region, live.file_id(), &[("a number of parties,", PARTIES, parties)])?;
        Ok(Self { region, slots: Slots::new(region, QUEUE, SLOTS, parties), caller: Caller::thread(live) })
    }

    /// The barrier that someone has made at `offset`, for however many.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] where nobody has; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let count = slots::found(KIND, region, offset, PARTIES, live, slots::MAX - 1)?;
        Self::open(region, offset, count, live)
    }

    /// How many parties it was made for.
    pub const fn parties(&self) -> u32 {
        self.slots.count()
    }

    /// The same barrier, whose operations are those of `owner` from now on, and not of the thread that calls: for what
    /// acts like a thread, as a JavaScript environment does. The owner comes from [`Live::new_owner`].
    #[must_use]
    pub const fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    fn state(&self) -> &'a AtomicU32 {
        self.region.word(STATE)
    }

    /// Becomes a party.
    ///
    /// # Errors
    ///
    /// [`SyncError::Full`] where all parties have joined and live.
    pub fn join(&self) -> Result<Party<'a>, SyncError> {
        self.join_as(self.caller.owner()?)
    }

    /// Becomes a party, on behalf of any owner of this process.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_as(&self, owner: Owner) -> Result<Party<'a>, SyncError> {
        let free = self.slots.claim(owner);
        let slot = free.or_else(|| {
            let slot = self.slots.claim_from_the_dead(owner, |owner| self.caller.is_alive(owner))?;
            // Those who wait with the dead one would not find it any more.
            may_die_here!();
            self.break_phase(phase(self.state().load(Ordering::SeqCst)));
            Some(slot)
        });
        let slot = slot.ok_or(SyncError::Full { parties: self.slots.count() })?;
        Ok(Party { barrier: *self, owner, era: live::era(), slot })
    }

    /// Whether it was broken by this call.
    fn break_phase(&self, broken: u32) -> bool {
        let state = self.state();
        let mut seen = state.load(Ordering::SeqCst);
        // Where nobody has arrived there is nothing to break.
        while phase(seen) == broken && arrived(seen) > 0 {
            let next = next_phase(seen, BROKEN);
            match state.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    may_die_here!();
                    futex::wake(state, u32::MAX);
                    return true;
                }
                Err(found) => seen = found,
            }
        }
        false
    }
}

/// One of those who wait for each other. Dropping it leaves the barrier.
#[derive(Debug)]
pub struct Party<'a> {
    barrier: Barrier<'a>,
    owner: Owner,
    era: u32,
    slot: u32,
}

impl<'a> Party<'a> {
    /// Waits until all parties have arrived. `true` for the one who came last.
    ///
    /// # Errors
    ///
    /// [`SyncError::Broken`] where a party was killed.
    pub fn wait(&mut self) -> Result<bool, SyncError> {
        let mut arrival = self.arrive()?;
        drive(Deadline::Never, || arrival.step())?.ok_or(SyncError::NotHeld)
    }

    /// The same; `None` when `timeout` is over, and then it has not arrived.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<bool>, SyncError> {
        let mut arrival = self.arrive()?;
        match drive(Deadline::after(timeout), || arrival.step())? {
            Some(last) => Ok(Some(last)),
            None => arrival.give_up(),
        }
    }

    /// Waiting in steps, for an event loop. It arrives now.
    ///
    /// # Errors
    ///
    /// Where the party joined before a fork, in its parent.
    pub fn arrive(&mut self) -> Result<Arrival<'a>, SyncError> {
        if self.era != live::era() {
            return Err(SyncError::NotHeld);
        }
        let state = self.barrier.state();
        let parties = self.barrier.slots.count();
        let mut seen = state.load(Ordering::SeqCst);
        loop {
            let last = arrived(seen) + 1 >= parties;
            let next = if last { next_phase(seen, 0) } else { seen + 1 };
            match state.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    may_die_here!();
                    if last {
                        futex::wake(state, u32::MAX);
                    }
                    let (barrier, patience) = (self.barrier, Patience::default());
                    return Ok(Arrival { barrier, phase: phase(seen), last, waits: !last, patience });
                }
                Err(found) => seen = found,
            }
        }
    }
}

impl Drop for Party<'_> {
    fn drop(&mut self) {
        if self.era == live::era() {
            // An error means that the bytes were overwritten; then there is nothing of ours to leave.
            drop(self.barrier.slots.release(self.slot, self.owner));
        }
    }
}

/// A party that has arrived: see [`Party::arrive`]. Dropping it takes the arrival back.
#[derive(Debug)]
pub struct Arrival<'a> {
    barrier: Barrier<'a>,
    phase: u32,
    last: bool,
    waits: bool,
    patience: Patience,
}

impl<'a> Arrival<'a> {
    /// The next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Broken`] where a party was killed.
    pub fn step(&mut self) -> Result<Step<'a, bool>, SyncError> {
        if self.last {
            return Ok(Step::Ready(true));
        }
        if self.patience.is_over() {
            self.look_for_the_dead();
        }
        let cell = self.barrier.state();
        let expected = cell.load(Ordering::SeqCst);
        if phase(expected) == self.phase {
            return Ok(Step::Wait(Pause { cell, expected }));
        }
        self.ended().map(|()| Step::Ready(false))
    }

    /// Takes the arrival back: `None`, or as a [step](Self::step) where the phase has ended meanwhile.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn give_up(mut self) -> Result<Option<bool>, SyncError> {
        if self.last {
            return Ok(Some(true));
        }
        if self.withdraw() { Ok(None) } else { self.ended().map(|()| Some(false)) }
    }

    fn look_for_the_dead(&self) {
        let Barrier { slots, caller, .. } = self.barrier;
        let mut is_broken = false;
        for slot in 0..slots.count() {
            let seen = slots.slot(slot).load(Ordering::SeqCst);
            if seen == 0 || caller.is_alive(Owner::from_bits(seen)) {
                continue;
            }
            // Where the phase ended meanwhile, whoever waits in a later one is to find the dead one there.
            is_broken = is_broken || self.barrier.break_phase(self.phase);
            if !is_broken {
                return;
            }
            may_die_here!();
            slots.replace(slot, seen, 0);
        }
    }

    fn ended(&mut self) -> Result<(), SyncError> {
        self.waits = false;
        let state = self.barrier.state().load(Ordering::SeqCst);
        let by_death = state & BROKEN != 0 && phase(state) == phase(next_phase(self.phase * PHASE, 0));
        if by_death { Err(SyncError::Broken) } else { Ok(()) }
    }

    /// Takes the arrival back, unless the phase has ended.
    fn withdraw(&mut self) -> bool {
        if !std::mem::take(&mut self.waits) {
            return false;
        }
        let state = self.barrier.state();
        let mut seen = state.load(Ordering::SeqCst);
        while phase(seen) == self.phase && arrived(seen) > 0 {
            match state.compare_exchange_weak(seen, seen - 1, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(found) => seen = found,
            }
        }
        false
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Memory, live};
    use std::sync::atomic::AtomicU32;

    fn open(memory: &Memory, parties: u32) -> Barrier<'_> {
        Barrier::open(memory.region(), 0, parties, live()).unwrap()
    }

    #[test]
    fn nobody_goes_on_before_all_have_arrived() {
        let memory = Memory::new(64);
        let (came, last) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut party = open(&memory, 3).join().unwrap();
                    for round in 1..=300 {
                        came.fetch_add(1, Ordering::SeqCst);
                        last.fetch_add(u32::from(party.wait().unwrap()), Ordering::SeqCst);
                        assert!(came.load(Ordering::SeqCst) >= 3 * round);
                    }
                });
            }
        });
        assert_eq!((came.into_inner(), last.into_inner()), (900, 300));
    }

    #[test]
    fn there_are_no_more_parties_than_it_was_made_for() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let _parties = (barrier.join().unwrap(), barrier.join().unwrap());
        assert_eq!(barrier.join().unwrap_err(), SyncError::Full { parties: 2 });
        for parties in [0, 65536, u32::MAX] {
            let refused = Barrier::open(memory.region(), 0, parties, live());
            assert!(matches!(refused, Err(SyncError::OutOfRange { .. })), "{parties}");
        }
    }

    #[test]
    fn one_who_gives_up_has_not_arrived() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let (mut one, mut two) = (barrier.join().unwrap(), barrier.join().unwrap());
        assert_eq!(one.wait_timeout(Duration::from_millis(15)).unwrap(), None);
        assert_eq!(two.wait_timeout(Duration::from_millis(15)).unwrap(), None);
        let mut arrival = one.arrive().unwrap();
        assert!(two.wait().unwrap());
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
    }

    #[test]
    fn a_dead_party_breaks_the_phase_once() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let mut one = barrier.join().unwrap();
        let free = (0..2).find(|&slot| barrier.slots.slot(slot).load(Ordering::Relaxed) == 0).unwrap();
        barrier.slots.slot(free).store(Owner::MAX, Ordering::Relaxed);
        assert_eq!(one.wait(), Err(SyncError::Broken));
        let mut two = barrier.join().unwrap();
        let mut arrival = one.arrive().unwrap();
        assert!(two.wait().unwrap());
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
    }

    #[test]
    fn a_death_in_the_next_phase_is_told_to_those_who_come_to_it() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let mut one = barrier.join().unwrap();
        let mut arrival = one.arrive().unwrap();
        assert!(matches!(arrival.step().unwrap(), Step::Wait(_)));
        // The other arrives, arrives once more, and dies, before the first one looks.
        let free = (0..2).find(|&slot| barrier.slots.slot(slot).load(Ordering::Relaxed) == 0).unwrap();
        barrier.slots.slot(free).store(Owner::MAX, Ordering::Relaxed);
        barrier.state().store(next_phase(1, 0) + 1, Ordering::Relaxed);
        std::thread::sleep(crate::protocol::step::PATIENCE * 2);
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
        assert_eq!(one.wait(), Ok(true));
        assert_eq!(one.wait_timeout(Duration::from_secs(10)), Err(SyncError::Broken));
    }
}
