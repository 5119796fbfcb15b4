'use strict';

const { checkOptions, checkTimeout, keyOf, placeOf } = require('./arguments.js');
const { checkChain, held } = require('./chains.js');
const { END, Guard, during, duringAsync } = require('./guard.js');
const native = require('./native.js');
const { own } = require('./objects.js');
const { drive } = require('./operations.js');
const { throwIfAborted } = require('./signals.js');
const { Soundness } = require('./soundness.js');
const { Turns } = require('./turns.js');

const { AGAIN } = native;

/** The addon's object of a mutex, for a condition. */
let handleOf;

class Mutex {
  #handle;
  #key;
  // The word that the owner has, and our id: where nobody else wants it, it is taken and given back here. Once the
  // segment is detached there is no such word, and the addon says so.
  #word;
  #me;
  #sound;
  #locking = new Turns();

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
    const guard = new Guard(this, 0);
    const word = this.#word;
    if (word.length !== 0 && Atomics.compareExchange(word, 0, 0, this.#me) === 0) {
      if (!this.#sound.isKnown) this.#lookAtLocked(word);
      return guard;
    }
    let got = native.lock(this.#handle, timeout);
    while (got === AGAIN) got = native.goOn();
    guard.ownerDied = got === 1;
    return got >= 0 && guard;
  }

  // A lock in what was cut off excludes nobody. The word itself may be shared still.
  #lookAtLocked(word) {
    try {
      this.#sound.check();
    } catch (error) {
      Atomics.compareExchange(word, 0, this.#me, 0);
      throw error;
    }
  }

  tryLock() {
    const guard = new Guard(this, 0);
    const got = native.tryLock(this.#handle);
    guard.ownerDied = got === 1;
    return got >= 0 && guard;
  }

  async lockAsync(options) {
    const checked = checkOptions(options);
    throwIfAborted(checked.signal);
    checkChain(checked, () => held(this.#key) > 0);
    const guard = new Guard(this, 0);
    // Those who ask here get it in the order in which they asked.
    const locking = (left) => drive(() => native.locking(this.#handle), left);
    const got = (await this.#locking.take(checked, locking)) ?? native.NO;
    guard.ownerDied = got === 1;
    return got >= 0 && guard;
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
