'use strict';

// Condition, Barrier and Once: waiting for what others do.

const { checkChain, held, holding } = require('./chains.js');
const errors = require('./errors.js');
const { Guard, Mutex, RESUME, bytesOfSlots, countOf } = require('./locks.js');
const { Patience, Place, checked, disposable, whole } = require('./place.js');
const { whenForgotten } = require('./roles.js');
const { throwIfAborted } = require('./signals.js');
const { OWNER, SLOTS_MOST, Slots, WAITERS } = require('./words.js');
const waits = require('./waits.js');

const CONDITION = { name: 'condition', letter: 'V', align: 4 };
const SEQUENCE = 2;
const SLEEPING = 3;

class Condition {
  #at;

  static byteLength() {
    return 16;
  }

  constructor(view, index) {
    this.#at = new Place(CONDITION, view, index);
    this.#at.open(Condition.byteLength());
  }

  /** Lets go of the mutex; gives the steps until there was a notification, and how to lock it again. */
  #begin(guard) {
    this.#at.check();
    const mutex = guard instanceof Guard ? Guard.lockOf(guard) : undefined;
    if (!(mutex instanceof Mutex)) throw errors.wrongValue('guard', guard, 'is no guard of a locked Mutex');
    const { words } = this.#at;
    const resume = mutex[RESUME]();
    Atomics.add(words, SLEEPING, 1);
    const seen = Atomics.load(words, SEQUENCE);
    try {
      resume.unlock();
    } catch (error) {
      Atomics.sub(words, SLEEPING, 1);
      throw error;
    }
    const patience = new Patience();
    const step = () => {
      if (Atomics.load(words, SEQUENCE) !== seen) return true;
      // Whoever has the mutex may have died when it was about to notify.
      if (patience.isOver() && resume.isLeftBehind()) return true;
      this.#at.pause(SEQUENCE, seen);
      return undefined;
    };
    const stop = () => void (words.length > 0 && Atomics.sub(words, SLEEPING, 1));
    return { step, stop, resume };
  }

  wait(guard, timeout) {
    const limit = waits.checkTimeout(timeout);
    const { step, stop, resume } = this.#begin(guard);
    let notified;
    try {
      notified = this.#at.drive(step, limit) ?? false;
    } finally {
      stop();
    }
    this.#tellOthers((guard.ownerDied = resume.lock()));
    return notified;
  }

  async waitAsync(guard, options) {
    const checked = waits.checkOptions(options);
    throwIfAborted(checked.signal);
    const { step, stop, resume } = this.#begin(guard);
    try {
      return (await this.#at.driveAsync(step, checked)) ?? false;
    } finally {
      stop();
      // Whoever aborts holds the mutex too, so that what follows may always unlock it.
      this.#tellOthers((guard.ownerDied = await resume.lockAsync(checked.ref)));
    }
  }

  // The others do not see a dead owner any more, and what it was about to tell may be for them.
  #tellOthers(ownerDied) {
    if (ownerDied) this.notifyAll();
  }

  notifyOne() {
    return this.#notify(1) === 1;
  }

  notifyAll() {
    return this.#notify(0x7fffffff);
  }

  #notify(count) {
    this.#at.check();
    Atomics.add(this.#at.words, SEQUENCE, 1);
    return Atomics.load(this.#at.words, SLEEPING) === 0 ? 0 : this.#at.wake(SEQUENCE, count);
  }

  static {
    checked(Condition, (condition) => condition.#at, ['wait', 'waitAsync', 'notifyOne', 'notifyAll']);
  }
}

const ONCE = { name: 'once', letter: 'O', align: 4 };
const STATE = 2;
const DONE = 1 << 30;

class Once {
  #at;

  static byteLength() {
    return 16;
  }

  constructor(view, index) {
    this.#at = new Place(ONCE, view, index);
    this.#at.open(Once.byteLength());
  }

  get done() {
    this.#at.check();
    return Atomics.load(this.#at.words, STATE) === DONE;
  }

  /** Our turn to do it, as { ownerDied }, or null when it has been done. */
  #step() {
    const { words, me } = this.#at;
    const patience = new Patience();
    return () => {
      const over = patience.isOver();
      let seen = Atomics.load(words, STATE);
      for (;;) {
        if (seen === DONE) return null;
        const holder = seen & OWNER;
        const takes = holder === 0 || (over && !this.#at.isAlive(holder));
        const wanted = takes ? me | (seen & WAITERS) : seen | WAITERS;
        if (wanted === seen) return this.#at.pause(STATE, seen);
        const found = Atomics.compareExchange(words, STATE, seen, wanted);
        if (found === seen && takes) return { ownerDied: holder !== 0 };
        seen = found === seen ? wanted : found;
      }
    };
  }

  #end(state) {
    const { words, me } = this.#at;
    let seen = Atomics.load(words, STATE);
    // If it is not ours, the bytes were overwritten.
    while ((seen & OWNER) === me) {
      const found = Atomics.compareExchange(words, STATE, seen, state);
      if (found === seen) return void ((seen & WAITERS) !== 0 && this.#at.wake(STATE));
      seen = found;
    }
  }

  call(work) {
    if (this.done) return;
    if ((Atomics.load(this.#at.words, STATE) & OWNER) === this.#at.me) throw errors.deadlock();
    const turn = this.#at.drive(this.#step(), Infinity);
    if (turn === null) return;
    let state = 0;
    try {
      const result = work(turn);
      if (typeof result?.then === 'function') throw errors.wrongValue('work', work, 'gives a promise: use callAsync');
      state = DONE;
    } finally {
      this.#end(state);
    }
  }

  async callAsync(work, options) {
    const checked = waits.checkOptions(options);
    if (this.done) return;
    checkChain(checked, () => held(this.#at.key) > 0);
    const turn = await this.#at.driveAsync(this.#step(), checked);
    if (turn === null) return;
    if (turn === undefined) throw errors.timedOut();
    let state = 0;
    try {
      await holding(this.#at.key, () => work(turn));
      state = DONE;
    } finally {
      this.#end(state);
    }
  }

  static {
    checked(Once, (once) => once.#at, ['call', 'callAsync']);
  }
}

const BARRIER = { name: 'barrier', letter: 'B', align: 4 };
const PARTIES = 2;
const PHASE_STATE = 4;
const BARRIER_QUEUE = 5;
const SLOTS = 8;
const PARTIES_MOST = SLOTS_MOST - 1;

// The state: bits 0 to 15 count who has arrived, bit 16 tells that the phase before was broken, the rest is the
// number of the phase.
const BROKEN = 1 << 16;
const PHASE = 1 << 17;

const phaseOf = (state) => state >>> 17;
const arrivedIn = (state) => state & (BROKEN - 1);
const nextPhase = (state, broken) => (((state & -PHASE) + PHASE) | broken) | 0;

const BREAK = Symbol('break');

class Barrier {
  #at;
  #slots;

  static byteLength({ parties }) {
    return bytesOfSlots(whole('parties', parties, 1, PARTIES_MOST));
  }

  constructor(view, index, options) {
    const at = new Place(BARRIER, view, index);
    const parties = countOf(at, 'parties', options, PARTIES_MOST);
    at.open(bytesOfSlots(parties), [['parties', PARTIES, parties]]);
    this.#at = at;
    this.#slots = new Slots(at, BARRIER_QUEUE, SLOTS, parties);
  }

  get parties() {
    return this.#slots.count;
  }

  join() {
    this.#at.check();
    let slot = this.#slots.claim();
    if (slot < 0) {
      slot = this.#slots.claimFromTheDead();
      if (slot < 0) throw errors.full(this.#slots.count);
      // Those who wait with the dead one would not find it any more.
      this[BREAK](phaseOf(Atomics.load(this.#at.words, PHASE_STATE)));
    }
    return new Party(this, this.#at, this.#slots, slot);
  }

  /** Whether it was broken by this call. */
  [BREAK](broken) {
    const { words } = this.#at;
    let seen = Atomics.load(words, PHASE_STATE);
    // Where nobody has arrived there is nothing to break.
    while (phaseOf(seen) === broken && arrivedIn(seen) > 0) {
      const found = Atomics.compareExchange(words, PHASE_STATE, seen, nextPhase(seen, BROKEN));
      if (found === seen) {
        this.#at.wake(PHASE_STATE);
        return true;
      }
      seen = found;
    }
    return false;
  }

  static {
    checked(Barrier, (barrier) => barrier.#at, ['join']);
  }
}

/** A place among those who wait for each other. */
class Seat {
  constructor(slots, slot) {
    this.slots = slots;
    this.slot = slot;
  }

  get isTaken() {
    return this.slot >= 0;
  }

  end() {
    if (!this.isTaken) return;
    const { at } = this.slots;
    const slot = this.slot;
    this.slot = -1;
    at.checkAttached();
    this.slots.release(slot, at.me);
  }
}

/** One of those who wait for each other. */
class Party {
  #barrier;
  #at;
  #slots;
  #seat;

  constructor(barrier, at, slots, slot) {
    this.#barrier = barrier;
    this.#at = at;
    this.#slots = slots;
    this.#seat = new Seat(slots, slot);
    whenForgotten(this, this.#seat);
  }

  /** Arrives; gives the phase that it waits for the end of, and whether it came last. */
  #arrive() {
    if (!this.#seat.isTaken) throw errors.notHeld();
    this.#at.check();
    const { words } = this.#at;
    let seen = Atomics.load(words, PHASE_STATE);
    for (;;) {
      const last = arrivedIn(seen) + 1 >= this.#slots.count;
      const found = Atomics.compareExchange(words, PHASE_STATE, seen, last ? nextPhase(seen, 0) : seen + 1);
      if (found === seen) {
        if (last) this.#at.wake(PHASE_STATE);
        return { phase: phaseOf(seen), last };
      }
      seen = found;
    }
  }

  #step(phase) {
    const { words } = this.#at;
    const patience = new Patience();
    return () => {
      if (patience.isOver()) this.#lookForTheDead(phase);
      const seen = Atomics.load(words, PHASE_STATE);
      if (phaseOf(seen) === phase) return this.#at.pause(PHASE_STATE, seen);
      return this.#ended(phase, seen);
    };
  }

  #ended(phase, state) {
    if ((state & BROKEN) !== 0 && phaseOf(state) === phaseOf(nextPhase(phase << 17, 0))) throw errors.broken();
    return false;
  }

  #lookForTheDead(phase) {
    let isBroken = false;
    for (let slot = 0; slot < this.#slots.count; slot++) {
      const seen = Atomics.load(this.#at.words, SLOTS + slot);
      if (seen === 0 || this.#at.isAlive(seen & OWNER)) continue;
      // Where the phase ended meanwhile, whoever waits in a later one is to find the dead one there.
      isBroken ||= this.#barrier[BREAK](phase);
      if (!isBroken) return;
      this.#slots.replace(slot, seen, 0);
    }
  }

  /** Takes an arrival back, unless the phase has ended. */
  #withdraw(phase) {
    const { words } = this.#at;
    if (words.length === 0) return false;
    let seen = Atomics.load(words, PHASE_STATE);
    while (phaseOf(seen) === phase && arrivedIn(seen) > 0) {
      const found = Atomics.compareExchange(words, PHASE_STATE, seen, seen - 1);
      if (found === seen) return true;
      seen = found;
    }
    return false;
  }

  wait(timeout) {
    const limit = waits.checkTimeout(timeout);
    const { phase, last } = this.#arrive();
    if (last) return true;
    return this.#at.drive(this.#step(phase), limit) ?? this.#outOfTime(phase);
  }

  async waitAsync(options) {
    const checked = waits.checkOptions(options);
    throwIfAborted(checked.signal);
    const { phase, last } = this.#arrive();
    if (last) return true;
    try {
      return (await this.#at.driveAsync(this.#step(phase), checked)) ?? this.#outOfTime(phase);
    } catch (error) {
      this.#withdraw(phase);
      throw error;
    }
  }

  #outOfTime(phase) {
    return this.#withdraw(phase) ? null : this.#ended(phase, Atomics.load(this.#at.words, PHASE_STATE));
  }

  leave() {
    if (!this.#seat.isTaken) throw errors.notHeld();
    this.#seat.end();
  }

  static dispose() {
    this.#seat.end();
  }

  static {
    checked(Party, (party) => party.#at, ['wait', 'waitAsync', 'leave']);
  }
}
disposable(Party, Party.dispose);

module.exports = { Barrier, Condition, Once };
