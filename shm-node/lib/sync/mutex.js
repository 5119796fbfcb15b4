'use strict';

const { checkTimeout, keyOf, placeOf } = require('./arguments.js');
const { held } = require('./chains.js');
const { END, Guard, during, duringAsync, taken, takenAsync } = require('./guard.js');
const native = require('./native.js');
const { own } = require('./objects.js');
const { Line } = require('./pending.js');
const { Soundness } = require('./soundness.js');

/** The addon's object of a mutex, for a condition. */
let handleOf;

class Mutex {
  #handle;
  #key;
  // The word that the owner has, and our id: without contention, it is taken and given back here. Once the
  // segment is detached there is no such word, and the addon says so.
  #word;
  #me;
  #sound;
  // Calls on this object get it in the order in which they were made.
  #locking = new Line();

  static {
    handleOf = (mutex) => mutex.#handle;
  }

  static byteLength() {
    return native.MUTEX_BYTES;
  }

  constructor(view, index) {
    const place = placeOf(view, index);
    const [handle, me] = native.openMutex(...place);
    this.#key = keyOf(place);
    this.#handle = own(this, handle);
    this.#word = new Int32Array(place[3], place[1] + native.MUTEX, 1);
    this.#me = me;
    this.#sound = new Soundness(place[0]);
  }

  lock(timeout = Infinity) {
    if (timeout !== Infinity) checkTimeout(timeout);
    const guard = new Guard(this);
    const word = this.#word;
    if (word.length !== 0 && Atomics.compareExchange(word, 0, 0, this.#me) === 0) {
      if (!this.#sound.isKnown) this.#lookAtLocked(word);
      return guard;
    }
    return taken(guard, native.lock, this.#handle, timeout);
  }

  // A lock in a segment that was cut off excludes nobody, even if the word itself is still shared.
  #lookAtLocked(word) {
    try {
      this.#sound.check();
    } catch (error) {
      Atomics.compareExchange(word, 0, this.#me, 0);
      throw error;
    }
  }

  tryLock() {
    return taken(new Guard(this), native.tryLock, this.#handle);
  }

  lockAsync(options) {
    const way = { line: this.#locking, spin: this.#locking.spin, isHeld: () => held(this.#key) > 0 };
    return takenAsync(new Guard(this), native.tryLock, native.locking, this.#handle, way, options);
  }

  unlock() {
    const word = this.#word;
    if (word.length === 0 || Atomics.compareExchange(word, 0, this.#me, 0) !== this.#me) native.unlock(this.#handle);
    this.#sound.check();
  }

  withLock(work) {
    return during(this.lock(), work);
  }

  withLockAsync(work, options) {
    return duringAsync(this.#key, this.lockAsync(options), work);
  }

  [END]() {
    const word = this.#word;
    if (word.length === 0 || Atomics.compareExchange(word, 0, this.#me, 0) !== this.#me) native.endLock(this.#handle);
    this.#sound.check();
  }
}

module.exports = { Mutex, handleOf };
