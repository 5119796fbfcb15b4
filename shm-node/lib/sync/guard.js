'use strict';

// What is held until one lets go.

const { holding } = require('./chains.js');
const errors = require('./errors.js');
const { disposable } = require('./objects.js');

const END = Symbol('end');

/**
 * What is held, until it is let go. It is made before it is held: where the stack is full, what was locked without a
 * guard would stay so.
 */
class Guard {
  #lock;

  constructor(lock, slot) {
    this.#lock = lock;
    /** What another thread of this process names it by, to let go of it. */
    this.slot = slot;
    /** Whether the owner before us died while holding it: what it protects may be half-changed. */
    this.ownerDied = false;
  }

  /** Lets go of it. */
  unlock() {
    const lock = this.#lock;
    if (lock === undefined) throw errors.notHeld();
    this.#lock = undefined;
    lock[END](this.slot);
  }

  /** What it holds, for a condition; undefined when it was let go. */
  static lockOf(guard) {
    return guard.#lock;
  }

  static dispose() {
    if (this.#lock !== undefined) this.unlock();
  }
}
disposable(Guard, Guard.dispose);

/** Runs `work` with a guard, and lets go of it when that is done, or when what it promises is. */
function during(guard, work) {
  let result;
  try {
    result = work(guard);
  } catch (error) {
    guard.unlock();
    throw error;
  }
  if (typeof result?.then !== 'function') {
    guard.unlock();
    return result;
  }
  return Promise.resolve(result).finally(() => guard.unlock());
}

async function duringAsync(key, locking, work) {
  const guard = await locking;
  if (guard === false) throw errors.timedOut();
  return holding(key, () => during(guard, work));
}

module.exports = { END, Guard, during, duringAsync };
