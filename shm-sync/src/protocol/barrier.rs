//! A barrier: a word that counts who has arrived in the phase, and a slot for each party, so that a dead one is found.

use super::{
    layout::barrier::{ARRIVED, BROKEN, PHASE, QUEUE, SLOTS, STATE},
    memory::{AtomicU32, Memory, Ordering},
    owner::{NotOurs, Owner},
    semaphore::Slots,
    step::{Patience, Pause, Peers, Step},
};
use shm_lifetime::fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Barrier<M> {
    pub(crate) memory: M,
    parties: Slots<M>,
}

/// The state of an arrival, between steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    phase: u32,
    is_last: bool,
    waits: bool,
    patience: Patience,
}

/// The phase was broken: a party had died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

const fn phase(state: u32) -> u32 {
    state / PHASE
}

const fn arrived(state: u32) -> u32 {
    state & ARRIVED
}

pub(crate) const fn next_phase(state: u32, broken: u32) -> u32 {
    (state & !(PHASE - 1)).wrapping_add(PHASE) | broken
}

impl<'a, M: Memory<'a>> Barrier<M> {
    pub(crate) fn new(memory: M, parties: u32) -> Self {
        Self { memory, parties: Slots::new(memory, QUEUE, SLOTS, parties) }
    }

    pub(crate) const fn parties(&self) -> &Slots<M> {
        &self.parties
    }

    pub(crate) fn state(&self) -> &'a AtomicU32 {
        self.memory.word(STATE)
    }

    /// Becomes a party, of the slot returned; `None` if all have joined and live.
    pub(crate) fn join(&self, owner: Owner, peers: impl Peers) -> Option<u32> {
        self.parties.claim(owner).or_else(|| {
            let slot = self.parties.claim_from_the_dead(owner, peers)?;
            // The parties that wait with the dead one would no longer find it.
            fault::step();
            self.break_phase(phase(self.state().load(Ordering::SeqCst)));
            Some(slot)
        })
    }

    pub(crate) fn leave(&self, slot: u32, owner: Owner) -> Result<(), NotOurs> {
        self.parties.release(slot, owner)
    }

    // Whether it was broken by this call.
    fn break_phase(&self, broken: u32) -> bool {
        let state = self.state();
        let mut seen = state.load(Ordering::SeqCst);
        // Where nobody has arrived there is nothing to break.
        while phase(seen) == broken && arrived(seen) > 0 {
            let next = next_phase(seen, BROKEN);
            match state.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    fault::step();
                    M::wake(state, u32::MAX);
                    return true;
                }
                Err(found) => seen = found,
            }
        }
        false
    }

    /// Arrives. The last one ends the phase.
    pub(crate) fn arrive(&self) -> Arrived {
        let state = self.state();
        let mut seen = state.load(Ordering::SeqCst);
        loop {
            let is_last = arrived(seen) + 1 >= self.parties.count();
            let next = if is_last { next_phase(seen, 0) } else { seen + 1 };
            match state.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    fault::step();
                    if is_last {
                        M::wake(state, u32::MAX);
                    }
                    let patience = Patience::default();
                    return Arrived { phase: phase(seen), is_last, waits: !is_last, patience };
                }
                Err(found) => seen = found,
            }
        }
    }

    /// Whether the phase has ended; `true` for the last one.
    pub(crate) fn step(&self, arrival: &mut Arrived, peers: impl Peers) -> Result<Step<'a, bool>, Broken> {
        if arrival.is_last {
            return Ok(Step::Ready(true));
        }
        if peers.is_over(&mut arrival.patience) {
            self.look_for_the_dead(arrival.phase, peers);
        }
        let cell = self.state();
        let expected = cell.load(Ordering::SeqCst);
        if phase(expected) == arrival.phase {
            return Ok(Step::Wait(Pause { cell, expected }));
        }
        self.ended(arrival).map(Step::Ready)
    }

    fn look_for_the_dead(&self, waited_for: u32, peers: impl Peers) {
        let slots =
            (0..self.parties.count()).map(|slot| (slot, self.parties.slot(slot).load(Ordering::SeqCst)));
        let is_dead = |&(_, seen): &(u32, u32)| seen != 0 && !peers.is_alive(Owner::from_word(seen));
        // All are looked at before the phase is broken: a party that dies later may have arrived in the next phase.
        let dead: Vec<_> = slots.filter(is_dead).collect();
        // If the phase has ended meanwhile, the parties of a later phase must find the dead parties there.
        if dead.is_empty() || !self.break_phase(waited_for) {
            return;
        }
        for (slot, seen) in dead {
            fault::step();
            self.parties.replace(slot, seen, 0);
        }
    }

    // Whether it came last. The phase has ended.
    fn ended(&self, arrival: &mut Arrived) -> Result<bool, Broken> {
        arrival.waits = false;
        if arrival.is_last {
            return Ok(true);
        }
        let state = self.state().load(Ordering::SeqCst);
        // A phase in which this party did not arrive has ended too: by a death. Then it is not known how its own ended.
        let is_overtaken = phase(state) != phase(next_phase(arrival.phase * PHASE, 0));
        let by_death = is_overtaken || state & BROKEN != 0;
        if by_death { Err(Broken) } else { Ok(false) }
    }

    /// Takes the arrival back: `None`, or as a step where the phase has ended meanwhile.
    pub(crate) fn give_up(&self, arrival: &mut Arrived) -> Result<Option<bool>, Broken> {
        if self.withdraw(arrival) { Ok(None) } else { self.ended(arrival).map(Some) }
    }

    /// Takes the arrival back, unless the phase has ended; returns whether it did.
    pub(crate) fn withdraw(&self, arrival: &mut Arrived) -> bool {
        if !std::mem::take(&mut arrival.waits) {
            return false;
        }
        let state = self.state();
        let mut seen = state.load(Ordering::SeqCst);
        while phase(seen) == arrival.phase && arrived(seen) > 0 {
            match state.compare_exchange_weak(seen, seen - 1, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(found) => seen = found,
            }
        }
        false
    }
}
