'use strict';

// Guards of locks and permits.

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
 * A held lock or permit, until `unlock`. It is made before the lock is acquired: if the stack is full, a lock without a
 * guard would stay locked.
 */
class Guard {
  #lock;

  constructor(lock, slot = 0) {
    this.#lock = lock;
    /** By this, another thread of this process can release it. */
    this.slot = slot;
    /** Whether the previous owner died while holding it: the protected data may be half-changed. */
    this.ownerDied = false;
  }

  /** Releases it. */
  unlock() {
    const lock = this.#lock;
    if (lock === undefined) throw errors.notHeld();
    this.#lock = undefined;
    lock[END](this.slot);
  }

  /** What it holds, for a condition; undefined after it was released. */
  static lockOf(guard) {
    return guard.#lock;
  }

  static dispose() {
    if (this.#lock !== undefined) this.unlock();
  }
}
disposable(Guard, Guard.dispose);

/** Fills a guard from an answer of the addon: its slot, doubled, and 1 more if an owner died. */
function has(guard, got) {
  if (guard.slot !== FOR_WRITING) guard.slot = got >> 1;
  guard.ownerDied = (got & 1) !== 0;
  return guard;
}

/** A guard for what `take(handle, timeout)` of the addon acquires; false if it acquires nothing. */
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

/** Runs `work` with a guard, and releases it when `work` returns, or when its promise is settled. */
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
