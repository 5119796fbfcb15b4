'use strict';

// What is held until one lets go.

const { checkOptions } = require('./arguments.js');
const { checkChain, holding } = require('./chains.js');
const errors = require('./errors.js');
const { give } = require('./loop.js');
const native = require('./native.js');
const { disposable } = require('./objects.js');
const { pending } = require('./pending.js');
const { throwIfAborted } = require('./signals.js');

const { AGAIN } = native;

const END = Symbol('end');

/** The slot of a writer's guard. */
const FOR_WRITING = -1;

/**
 * What is held, until it is let go. It is made before it is held: where the stack is full, what was locked without a
 * guard would stay so.
 */
class Guard {
  #lock;

  constructor(lock, slot = 0) {
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

/** Has a guard have what an answer of the addon says: its slot, doubled, and 1 more where an owner died. */
function has(guard, got) {
  if (guard.slot !== FOR_WRITING) guard.slot = got >> 1;
  guard.ownerDied = (got & 1) !== 0;
  return guard;
}

/** What `take(handle, timeout)` of the addon takes is the guard's; false where that is nothing. */
function taken(guard, take, handle, timeout) {
  let got = take(handle, timeout);
  while (got === AGAIN) got = native.goOn();
  if (got < 0) return false;
  // Nothing is called from here on: where the stack is full, nobody would have it.
  if (guard.slot !== FOR_WRITING) guard.slot = got >> 1;
  guard.ownerDied = (got & 1) !== 0;
  return guard;
}

/**
 * The same without blocking: at once by `take(handle)`, else by the operation that `begin(handle)` gives.
 *
 * @param way More of it: see `ask`. `isHeld()`: whether the chain that calls would wait for itself.
 */
function takenAsync(guard, take, begin, handle, way, options) {
  try {
    const checked = checkOptions(options);
    throwIfAborted(checked.signal);
    checkChain(checked, way.isHeld);
    const promise = give(guard); // made before it is held
    if ((way.line?.isFree ?? true) && taken(guard, take, handle)) {
      way.spin.isDue = true;
      return promise;
    }
    way.check?.(checked);
    const look = () => taken(guard, take, handle);
    return pending({ none: false, look, begin: () => begin(handle), use: (got) => has(guard, got), ...way }, checked);
  } catch (error) {
    return Promise.reject(error);
  }
}

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

module.exports = { END, FOR_WRITING, Guard, during, duringAsync, taken, takenAsync };
