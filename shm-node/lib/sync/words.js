'use strict';

// Owner words and holders' slots: what locks are made of. As shm-sync/src/protocol/lock_word.rs and slots.rs.

const errors = require('./errors.js');
const { Patience } = require('./place.js');

const WAITERS = 1 << 31;
const DIED = 1 << 30;
const OWNER = DIED - 1;

/** What one who wants a word remembers between steps. */
class Queue {
  waited = false;
  patience = new Patience();
}

// What a step or an attempt came to.
const NO = 0;
const YES = 1;
const YES_FROM_THE_DEAD = 2;

/** One attempt to own a word; if it fails, the place knows how to wait for the next. */
function lockStep(at, word, queue) {
  const { words, me } = at;
  const over = queue.patience.isOver();
  // Whoever has waited cannot know whether others still do.
  const waiters = queue.waited ? WAITERS : 0;
  let seen = Atomics.load(words, word);
  for (;;) {
    const holder = seen & OWNER;
    let wanted;
    if (holder === 0) wanted = me | waiters | (seen & WAITERS);
    else if (over && !at.isAlive(holder)) wanted = me | WAITERS;
    else if ((seen & WAITERS) === 0) wanted = seen | WAITERS;
    else {
      queue.waited = true;
      at.pause(word, seen);
      return NO;
    }
    const found = Atomics.compareExchange(words, word, seen, wanted);
    if (found === seen) {
      if ((wanted & OWNER) === me && holder !== me) {
        return holder !== 0 || (seen & DIED) !== 0 ? YES_FROM_THE_DEAD : YES;
      }
      seen = wanted;
    } else {
      seen = found;
    }
  }
}

/** An attempt that never waits, and so asks at once whether the holder lives. */
function lockAttempt(at, word) {
  const { words, me } = at;
  let seen = Atomics.load(words, word);
  for (;;) {
    const holder = seen & OWNER;
    if (holder !== 0 && at.isAlive(holder)) return NO;
    const found = Atomics.compareExchange(words, word, seen, me | (seen & WAITERS));
    if (found === seen) return holder !== 0 || (seen & DIED) !== 0 ? YES_FROM_THE_DEAD : YES;
    seen = found;
  }
}

/** Sets a word free that `owner` holds, and wakes `count` of those who wait. */
function lockRelease(at, word, owner, count, flags = 0) {
  const { words } = at;
  let seen = owner;
  for (;;) {
    const found = Atomics.compareExchange(words, word, seen, flags);
    if (found === seen) break;
    if ((found & OWNER) === 0) throw errors.notHeld();
    if ((found & OWNER) !== owner) throw errors.notOwner(found & OWNER);
    seen = found;
  }
  if ((seen & WAITERS) !== 0) at.wake(word, count);
}

/** The same on behalf of whoever of this process holds it. */
function lockReleaseOurs(at, word, count) {
  const owner = Atomics.load(at.words, word) & OWNER;
  if (owner === 0) throw errors.notHeld();
  if (!at.isOurs(owner)) throw errors.notOwner(owner);
  lockRelease(at, word, owner, count);
}

/** Sets a word free on behalf of a dead owner; whoever takes it next is told. */
function bury(at, word, seen) {
  if (Atomics.compareExchange(at.words, word, seen, DIED) === seen) at.wake(word);
}

const SLEEPERS = 1;
const SLOTS_MOST = 1 << 16;

/** What one who wants a slot remembers between steps. */
class SlotQueue {
  waited = false;
  ownerDied = false;
  patience = new Patience();
}

/** A word per holder, from `first` on, and a queue word. */
class Slots {
  constructor(at, queue, first, count) {
    this.at = at;
    this.queue = queue;
    this.first = first;
    this.count = count;
  }

  holder(slot) {
    return Atomics.load(this.at.words, this.first + slot) & OWNER;
  }

  isHeldBy(owner) {
    for (let slot = 0; slot < this.count; slot++) if (this.holder(slot) === owner) return true;
    return false;
  }

  isHeldByOnly(owner) {
    for (let slot = 0; slot < this.count; slot++) if (this.holder(slot) !== owner) return false;
    return true;
  }

  isFull() {
    for (let slot = 0; slot < this.count; slot++) if (Atomics.load(this.at.words, this.first + slot) === 0) return false;
    return true;
  }

  isEmpty() {
    for (let slot = 0; slot < this.count; slot++) if (Atomics.load(this.at.words, this.first + slot) !== 0) return false;
    return true;
  }

  /** A free slot, or -1. Each owner looks at another place first. */
  claim() {
    const { words, me } = this.at;
    let slot = me % this.count;
    for (let looked = 0; looked < this.count; looked++) {
      const word = this.first + slot;
      if (Atomics.load(words, word) === 0 && Atomics.compareExchange(words, word, 0, me) === 0) return slot;
      if (++slot === this.count) slot = 0;
    }
    return -1;
  }

  /** A slot that a dead owner left, or -1. */
  claimFromTheDead() {
    for (let slot = 0; slot < this.count; slot++) {
      const seen = Atomics.load(this.at.words, this.first + slot);
      if (seen !== 0 && !this.at.isAlive(seen & OWNER) && this.replace(slot, seen, this.at.me)) return slot;
    }
    return -1;
  }

  /** Puts a value in place of a dead owner, and wakes who waited for it to go. */
  replace(slot, seen, value) {
    const word = this.first + slot;
    if (Atomics.compareExchange(this.at.words, word, seen, value) !== seen) return false;
    if ((seen & WAITERS) !== 0) this.at.wake(word);
    return true;
  }

  /** One attempt; if it fails (-1), the place knows how to wait for the next. */
  step(state) {
    const over = state.patience.isOver();
    let slot = this.claim();
    if (slot < 0 && over) {
      slot = this.claimFromTheDead();
      if (slot >= 0) state.ownerDied = true;
    }
    if (slot < 0) {
      const expected = Atomics.or(this.at.words, this.queue, SLEEPERS) | SLEEPERS;
      state.waited = true;
      slot = this.claim();
      if (slot < 0) {
        this.at.pause(this.queue, expected);
        return -1;
      }
    }
    // One release wakes one sleeper and takes the flag down: whoever has slept puts it up again for the others.
    if (state.waited) {
      Atomics.or(this.at.words, this.queue, SLEEPERS);
      if (!this.isFull()) this.signal();
    }
    return slot;
  }

  release(slot, owner) {
    const word = this.first + slot;
    lockRelease(this.at, word, owner, 0x7fffffff);
    if ((Atomics.load(this.at.words, this.queue) & SLEEPERS) !== 0) this.signal();
  }

  /** The same on behalf of whoever of this process has it. */
  releaseOurs(slot) {
    const owner = this.holder(slot);
    if (owner === 0) throw errors.notHeld();
    if (!this.at.isOurs(owner)) throw errors.notOwner(owner);
    this.release(slot, owner);
  }

  signal() {
    const { words } = this.at;
    let seen = Atomics.load(words, this.queue);
    while ((seen & SLEEPERS) !== 0) {
      const found = Atomics.compareExchange(words, this.queue, seen, (seen + 2) & ~SLEEPERS);
      if (found === seen) {
        this.at.wake(this.queue, 1);
        return;
      }
      seen = found;
    }
  }
}

/** Sleeping on an event count: sets its bit, and looks once more whether it has happened. */
function prepareEvent(at, word, happened) {
  const expected = Atomics.or(at.words, word, SLEEPERS) | SLEEPERS;
  // Without the bit, it is a value that the word does not come back to.
  at.pause(word, happened() ? expected & ~SLEEPERS : expected);
}

// A read that is not to be done before an atomic write that stands before it. On x86 such a write is a barrier, and
// no runtime moves an ordinary read across it; `Atomics.load` would be a call.
const isOrdered = ['x64', 'ia32'].includes(process.arch);
const readAfterWrite = isOrdered ? (words, word) => words[word] : (words, word) => Atomics.load(words, word);

/** It has happened: wakes all who sleep. Whoever calls has seen the bit. */
function wakeEvent(at, word) {
  const { words } = at;
  let seen = Atomics.load(words, word);
  while ((seen & SLEEPERS) !== 0) {
    const found = Atomics.compareExchange(words, word, seen, (seen + 2) & ~SLEEPERS);
    if (found === seen) {
      at.wake(word);
      return;
    }
    seen = found;
  }
}

module.exports = {
  DIED,
  NO,
  OWNER,
  Queue,
  SLEEPERS,
  SLOTS_MOST,
  SlotQueue,
  Slots,
  WAITERS,
  YES,
  YES_FROM_THE_DEAD,
  bury,
  lockAttempt,
  lockRelease,
  lockReleaseOurs,
  lockStep,
  prepareEvent,
  readAfterWrite,
  wakeEvent,
};
