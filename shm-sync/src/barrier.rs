//! A number of parties that wait for each other.

use crate::protocol::{
    barrier::{self, Arrived},
    layout::barrier::{MOST, PARTIES, SLOTS, STRUCTURE},
};
use crate::{
    Live, Owner, Region, Step, SyncError,
    block::{Deadline, block, block_until},
    caller::Caller,
    live, place,
};
use std::{sync::Arc, time::Duration};

/// A barrier in shared memory: in each phase, no party goes on until all have arrived.
///
/// Each party joins the barrier, so that the others notice if it is killed: the waiting parties then get
/// [`SyncError::Broken`] within 20 ms, once. The phase begins again when another party has joined in its place.
#[derive(Clone, Copy, Debug)]
pub struct Barrier<'a> {
    barrier: barrier::Barrier<Region<'a>>,
    caller: Caller,
}

impl<'a> Barrier<'a> {
    /// How many bytes it takes. It must begin at a multiple of 4.
    pub const fn byte_len(parties: u32) -> usize {
        SLOTS as usize + 4 * parties as usize
    }

    /// Opens the barrier at `offset`. Makes it if the bytes are all zero.
    ///
    /// # Errors
    ///
    /// If the place or the number of parties (1 to 65535) is invalid, or the bytes there are something else.
    pub fn open(
        region: Region<'a>,
        offset: usize,
        parties: u32,
        live: &'static Live,
    ) -> Result<Self, SyncError> {
        place::check_count("the number of parties", parties, MOST, "1 to 65535")?;
        let choices = [("parties", PARTIES, parties)];
        let place = place::open(STRUCTURE, region, offset, Self::byte_len(parties), live, &choices)?;
        Ok(Self { barrier: barrier::Barrier::new(place, parties), caller: Caller::thread(live) })
    }

    /// Opens the barrier that exists at `offset`, with any number of parties.
    ///
    /// # Errors
    ///
    /// [`SyncError::Fresh`] if there is none; otherwise as [`open`](Self::open).
    pub fn attach(region: Region<'a>, offset: usize, live: &'static Live) -> Result<Self, SyncError> {
        let parties = place::count(STRUCTURE, region, offset, PARTIES, MOST, live)?;
        Self::open(region, offset, parties, live)
    }

    /// How many parties it was made for.
    pub const fn parties(&self) -> u32 {
        self.barrier.parties().count()
    }

    /// Returns the same barrier, but with `owner` as the owner of its operations, and not the calling thread. This is
    /// for something that acts like a thread, such as a JavaScript environment. [`Live::new_owner`] makes an owner.
    #[must_use]
    pub fn for_owner(self, owner: Owner) -> Self {
        Self { caller: self.caller.named(owner), ..self }
    }

    /// Becomes a party.
    ///
    /// # Errors
    ///
    /// [`SyncError::Full`] if all parties have joined already, and all of them live.
    pub fn join(&self) -> Result<Party<'a>, SyncError> {
        self.join_as(self.caller.owner()?)
    }

    /// Becomes a party, on behalf of any owner of this process.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_as(&self, owner: Owner) -> Result<Party<'a>, SyncError> {
        let slot = self.barrier.join(owner, self.caller);
        let slot = slot.ok_or(SyncError::Full { parties: self.parties() });
        let generation = live::generation();
        let party = slot.map(|slot| Party(Arc::new(Place { barrier: *self, owner, generation, slot })));
        self.barrier.memory.sound_result(party)
    }
}

/// One party of a barrier. Dropping it leaves the barrier, after its [arrival](Self::arrive) has ended.
#[derive(Debug)]
pub struct Party<'a>(Arc<Place<'a>>);

/// The place of a party, which others can take when it is dropped. A party that waits keeps it: otherwise two parties
/// could arrive in one place.
#[derive(Debug)]
struct Place<'a> {
    barrier: Barrier<'a>,
    owner: Owner,
    generation: u32,
    slot: u32,
}

impl<'a> Party<'a> {
    /// Waits until all parties have arrived. `true` for the last one.
    ///
    /// # Errors
    ///
    /// [`SyncError::Broken`] if a party was killed.
    pub fn wait(&mut self) -> Result<bool, SyncError> {
        let mut arrival = self.arrive()?;
        block(|| arrival.step())
    }

    /// As [`wait`](Self::wait), but returns `None` if `timeout` is over. Then this party has not arrived.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<bool>, SyncError> {
        let mut arrival = self.arrive()?;
        match block_until(Deadline::after(timeout), || arrival.step())? {
            Some(last) => Ok(Some(last)),
            None => arrival.give_up(),
        }
    }

    /// Begins to wait in steps, for an event loop. The party arrives now.
    ///
    /// # Errors
    ///
    /// [`SyncError::Forked`] if the party joined before a fork, in its parent. [`SyncError::Deadlock`] if an earlier
    /// arrival of this party has not ended.
    pub fn arrive(&mut self) -> Result<Arrival<'a>, SyncError> {
        let Place { barrier, generation, .. } = *self.0;
        live::check_generation(generation)?;
        if Arc::strong_count(&self.0) > 1 {
            return Err(SyncError::Deadlock);
        }
        let (place, arrived) = (Some(self.0.clone()), barrier.barrier.arrive());
        barrier.barrier.memory.sound(Arrival { barrier, generation, place, arrived })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.generation == live::generation() {
            // An error means that the bytes were overwritten; then there is nothing of ours to leave.
            drop(self.barrier.barrier.leave(self.slot, self.owner));
        }
    }
}

/// A party that has arrived: see [`Party::arrive`]. If it is dropped, the arrival is taken back.
#[derive(Debug)]
pub struct Arrival<'a> {
    barrier: Barrier<'a>,
    generation: u32,
    /// Until it has ended.
    place: Option<Arc<Place<'a>>>,
    arrived: Arrived,
}

impl<'a> Arrival<'a> {
    /// Takes the next step.
    ///
    /// # Errors
    ///
    /// [`SyncError::Broken`] if a party was killed; [`SyncError::Forked`] in the child of a fork.
    pub fn step(&mut self) -> Result<Step<'a, bool>, SyncError> {
        live::check_generation(self.generation)?;
        let Barrier { barrier, caller } = self.barrier;
        let step = barrier.memory.sound_result(barrier.step(&mut self.arrived, caller));
        if !matches!(step, Ok(Step::Wait(_))) {
            self.place = None;
        }
        step
    }

    /// Takes the arrival back, and returns `None`. If the phase has ended meanwhile, returns the result of the last
    /// [step](Self::step).
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn give_up(mut self) -> Result<Option<bool>, SyncError> {
        live::check_generation(self.generation)?;
        let barrier = self.barrier.barrier;
        barrier.memory.sound_result(barrier.give_up(&mut self.arrived))
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        if self.generation == live::generation() {
            self.barrier.barrier.withdraw(&mut self.arrived);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::layout::barrier::BROKEN;
    use crate::testing::{Lives, Memory, live};
    use std::sync::atomic::{AtomicU32, Ordering};

    fn open(memory: &Memory, parties: u32) -> Barrier<'_> {
        Barrier::open(memory.region(), 0, parties, live()).unwrap()
    }

    #[test]
    fn no_party_goes_on_before_all_have_arrived() {
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
    fn there_are_no_more_parties_than_at_creation() {
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
    fn a_party_that_gives_up_has_not_arrived() {
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
    fn a_party_arrives_once_and_has_its_place_until_its_arrival_has_ended() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let (mut one, mut two) = (barrier.join().unwrap(), barrier.join().unwrap());
        let mut arrival = one.arrive().unwrap();
        assert_eq!(one.wait(), Err(SyncError::Deadlock), "it would count twice");
        drop(one);
        assert_eq!(
            barrier.join().unwrap_err(),
            SyncError::Full { parties: 2 },
            "the next would arrive beside it"
        );
        assert!(two.wait().unwrap());
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
        let mut three = barrier.join().unwrap();
        drop(two.arrive().unwrap());
        assert_eq!(three.wait_timeout(Duration::from_millis(15)).unwrap(), None);
    }

    /// A party that died takes the free place.
    fn join_as_dead(barrier: &Barrier) {
        let parties = barrier.barrier.parties();
        let free = (0..2).find(|&slot| parties.slot(slot).load(Ordering::Relaxed) == 0).unwrap();
        parties.slot(free).store(Owner::MAX, Ordering::Relaxed);
    }

    #[test]
    fn a_dead_party_breaks_the_phase_once() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let mut one = barrier.join().unwrap();
        join_as_dead(&barrier);
        assert_eq!(one.wait(), Err(SyncError::Broken));
        let mut two = barrier.join().unwrap();
        let mut arrival = one.arrive().unwrap();
        assert!(two.wait().unwrap());
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
    }

    #[test]
    fn parties_that_come_to_the_next_phase_are_told_of_a_death_in_it() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let mut one = barrier.join().unwrap();
        let mut arrival = one.arrive().unwrap();
        assert!(matches!(arrival.step().unwrap(), Step::Wait(_)));
        // The other arrives, arrives once more, and dies, before the first one looks.
        join_as_dead(&barrier);
        barrier.barrier.state().store(barrier::next_phase(1, 0) + 1, Ordering::Relaxed);
        std::thread::sleep(crate::PATIENCE * 2);
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
        assert_eq!(one.wait(), Ok(true));
        assert_eq!(one.wait_timeout(Duration::from_secs(10)), Err(SyncError::Broken));
    }

    #[test]
    fn a_party_that_dies_in_the_next_phase_is_found_there() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 3).barrier;
        let owners @ [dead, other, us] = [1, 2, 3].map(Owner::from_word);
        for (slot, owner) in (0..).zip(owners) {
            barrier.parties().slot(slot).store(owner.get(), Ordering::Relaxed);
        }
        let is_broken = || barrier.state().load(Ordering::Relaxed) & BROKEN != 0;
        let (mut arrival, _) = (barrier.arrive(), barrier.arrive());
        // As soon as the phase is broken, the other party arrives in the next one, and dies.
        let peers = Lives(|owner| match is_broken() {
            true if owner == other => {
                barrier.arrive();
                false
            }
            is_broken => owner == us || (owner == other && !is_broken),
        });
        assert_eq!(barrier.step(&mut arrival, peers).unwrap_err(), barrier::Broken);
        assert_eq!(barrier.parties().slot(0).load(Ordering::Relaxed), 0, "{dead} broke the phase");
        assert_eq!(barrier.parties().slot(1).load(Ordering::Relaxed), other.get(), "it breaks its own phase");
    }

    #[test]
    fn a_party_that_sleeps_through_two_broken_phases_is_told() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 3);
        let mut one = barrier.join().unwrap();
        let mut arrival = one.arrive().unwrap();
        for _ in 0..2 {
            let state = barrier.barrier.state();
            state.store(barrier::next_phase(state.load(Ordering::Relaxed), BROKEN), Ordering::Relaxed);
        }
        assert_eq!(arrival.step().unwrap_err(), SyncError::Broken);
    }

    #[test]
    fn a_party_that_joins_in_the_place_of_a_dead_one_breaks_the_phase() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let mut one = barrier.join().unwrap();
        join_as_dead(&barrier);
        let mut arrival = one.arrive().unwrap();
        let mut two = barrier.join().unwrap();
        assert_eq!(arrival.step().unwrap_err(), SyncError::Broken);
        let mut arrival = one.arrive().unwrap();
        assert!(two.wait().unwrap(), "the phase begins again, and both are in it");
        assert!(matches!(arrival.step().unwrap(), Step::Ready(false)));
    }

    #[test]
    fn giving_up_after_the_phase_has_ended_takes_nothing_back() {
        let memory = Memory::new(64);
        let barrier = open(&memory, 2);
        let (mut one, mut two) = (barrier.join().unwrap(), barrier.join().unwrap());
        let earlier = one.arrive().unwrap();
        assert!(two.wait().unwrap());
        let _arrival = two.arrive().unwrap();
        drop(earlier);
        assert!(matches!(one.arrive().unwrap().step().unwrap(), Step::Ready(true)), "two is there");
    }
}
