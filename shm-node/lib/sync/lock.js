'use strict';

// Locks: their guards, and the five ways to acquire one.

const { checkOptions, checkTimeout, nameOf } = require('./arguments.js');
const { checkChain, holding } = require('./chains.js');
const errors = require('./errors.js');
const { Spin, give } = require('./loop.js');
const native = require('./native.js');
const { disposable, own } = require('./objects.js');
const { Line, pending } = require('./pending.js');
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
    /** The slot of a permit or of a reader, by which another thread of this process can release it. */
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

  /** For the time of a wait, it holds nothing; returns a function that ends this. */
  static lend(guard) {
    const lock = guard.#lock;
    guard.#lock = undefined;
    return () => (guard.#lock = lock);
  }

  static dispose() {
    if (this.#lock !== undefined) this.unlock();
  }
}
disposable(Guard, Guard.dispose);

/** A guard for what `take(handle, timeout)` of the addon acquires; false if it acquires nothing. */
function taken(guard, take, handle, timeout) {
  let got = take(handle, timeout);
  while (got === AGAIN) got = native.goOn();
  if (got < 0) return false;
  // From here on, no function is called: if the stack were full, the lock would stay locked without a guard.
  if (guard.slot !== FOR_WRITING) guard.slot = got >> 1;
  guard.ownerDied = (got & 1) !== 0;
  return guard;
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

/** The addon's object of a lock; how many can hold it at a time. */
let handleOf;
let mostOf;
let keyOf;

/** A lock, and the name of its place in this thread. */
class Lock {
  #handle;
  #most;
  #key;

  static {
    handleOf = (lock) => lock.#handle;
    mostOf = (lock) => lock.#most;
    keyOf = (lock) => lock.#key;
  }

  constructor(place, handle, most) {
    this.#handle = own(this, handle);
    this.#most = most;
    this.#key = nameOf(place);
  }
}

/**
 * Returns a class with five more methods. For `read`, these are `read`, `tryRead`, `readAsync`, `withRead` and
 * `withReadAsync`.
 *
 * - `verb` is the name of the first three methods, and `noun` of the last two.
 * - `take(handle, timeout)`, `attempt(handle)`, `begin(handle)`: the addon's functions. The first two are called by a
 *   function of the kind of lock itself: V8 calls a function of the addon faster where it is always the same one.
 * - `slot`: the slot of new guards. `hasLine`: calls on one object get the lock in the order in which they came.
 * - `suffix`: the end of the names of the holdings of a chain that count. `isHeld(key, lock)`: whether the calling
 *   chain would wait for itself. `waiting(key, lock)`: returns a function that checks this during the wait, if it may
 *   change.
 */
function acquirable(Base, how) {
  const { verb, noun, take, attempt, begin, slot, hasLine, suffix = '', isHeld, waiting } = how;
  const Verb = verb[0].toUpperCase() + verb.slice(1);
  return class extends Base {
    #line = hasLine ? new Line() : undefined;
    #spin = this.#line?.spin ?? new Spin();

    [verb](timeout) {
      return taken(new Guard(this, slot), take, handleOf(this), checkTimeout(timeout));
    }

    [`try${Verb}`]() {
      return taken(new Guard(this, slot), attempt, handleOf(this));
    }

    [`${verb}Async`](options) {
      try {
        const checked = checkOptions(options);
        throwIfAborted(checked.signal);
        const [key, handle, line, spin] = [keyOf(this), handleOf(this), this.#line, this.#spin];
        checkChain(checked, () => isHeld(key, this));
        const guard = new Guard(this, slot);
        const promise = give(guard); // made before it is held
        if ((line?.isFree ?? true) && taken(guard, attempt, handle)) {
          spin.isDue = true;
          return promise;
        }
        const waitsForUs = waiting?.(key, this);
        const check = waitsForUs && ((options) => checkChain(options, waitsForUs));
        const look = () => taken(guard, attempt, handle);
        const use = (got) => taken(guard, () => got);
        return pending({ none: false, look, begin: () => begin(handle), use, line, spin, check }, checked);
      } catch (error) {
        return Promise.reject(error);
      }
    }

    [`with${noun}`](work) {
      return during(this[verb](), work);
    }

    async [`with${noun}Async`](work, options) {
      const guard = await this[`${verb}Async`](options);
      if (guard === false) throw errors.timedOut();
      return holding(keyOf(this) + suffix, () => during(guard, work));
    }
  };
}

module.exports = { END, FOR_WRITING, Guard, Lock, acquirable, handleOf, mostOf, taken };
