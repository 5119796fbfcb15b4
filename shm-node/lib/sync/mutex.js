'use strict';

const { bufferOf } = require('../arrays.js');
const { checkTimeout, placeOf } = require('./arguments.js');
const { held } = require('./chains.js');
const { END, Guard, Lock, acquirable, handleOf } = require('./lock.js');
const native = require('./native.js');
const { Soundness, counter } = require('./soundness.js');

const locking = {
  verb: 'lock',
  noun: 'Lock',
  take: (handle, timeout) => native.lock(handle, timeout),
  attempt: (handle) => native.tryLock(handle),
  begin: native.locking,
  hasLine: true,
  isHeld: (key) => held(key) > 0,
};

class Mutex extends acquirable(Lock, locking) {
  // The owner word, and our id. Without contention, JavaScript itself locks and unlocks by this word. After a detach of
  // the segment there is no such word, and the addon throws the error.
  #word;
  #me;
  #sound;

  static byteLength() {
    return native.MUTEX_BYTES;
  }

  constructor(view, index) {
    const place = placeOf(view, index);
    const [handle, me] = native.openMutex(...place);
    super(place, handle);
    this.#word = new Int32Array(bufferOf(view), place[1] + native.MUTEX, 1);
    this.#me = me;
    this.#sound = new Soundness(place[0]);
  }

  lock(timeout) {
    checkTimeout(timeout);
    const word = this.#word;
    const guard = new Guard(this);
    if (word.length === 0 || Atomics.compareExchange(word, 0, 0, this.#me) !== 0) return super.lock(timeout);
    if (counter[0] !== this.#sound.seen) this.#lookAtLocked(word);
    return guard;
  }

  // If a part of the segment was cut off, a lock in it excludes nobody, even if its word is still shared.
  #lookAtLocked(word) {
    try {
      this.#sound.check();
    } catch (error) {
      Atomics.compareExchange(word, 0, this.#me, 0);
      throw error;
    }
  }

  unlock() {
    this.#unlock(native.unlock);
  }

  [END]() {
    this.#unlock(native.endLock);
  }

  #unlock(contended) {
    const word = this.#word;
    if (word.length === 0 || Atomics.compareExchange(word, 0, this.#me, 0) !== this.#me) contended(handleOf(this));
    if (counter[0] !== this.#sound.seen) this.#sound.check();
  }
}

module.exports = { Mutex };
