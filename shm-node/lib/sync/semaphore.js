'use strict';

const { checkOptions, checkTimeout, holders, keyOf, placeOf, whole } = require('./arguments.js');
const { checkChain, held } = require('./chains.js');
const { END, Guard, during, duringAsync } = require('./guard.js');
const native = require('./native.js');
const { own } = require('./objects.js');
const { drive } = require('./operations.js');

const { AGAIN } = native;

class Semaphore {
  #handle;
  #key;
  #permits;

  static byteLength(options) {
    return native.semaphoreLength(holders('permits', { permits: options.permits }, native.MOST_PERMITS));
  }

  constructor(view, index, options) {
    const [number, offset, room] = placeOf(view, index);
    const wanted = holders('permits', options, native.MOST_PERMITS);
    const [handle, permits] = native.openSemaphore(number, offset, room, wanted);
    this.#key = keyOf([number, offset]);
    this.#handle = own(this, handle);
    this.#permits = permits;
  }

  get permits() {
    return this.#permits;
  }

  acquire(timeout = Infinity) {
    if (timeout !== Infinity) checkTimeout(timeout);
    const guard = new Guard(this, -1);
    let got = native.acquire(this.#handle, timeout);
    while (got === AGAIN) got = native.goOn();
    guard.slot = got >> 1;
    guard.ownerDied = (got & 1) !== 0;
    return got >= 0 && guard;
  }

  tryAcquire() {
    const guard = new Guard(this, -1);
    const got = native.tryAcquire(this.#handle);
    guard.slot = got >> 1;
    guard.ownerDied = (got & 1) !== 0;
    return got >= 0 && guard;
  }

  async acquireAsync(options) {
    const checked = checkOptions(options);
    checkChain(checked, () => held(this.#key) >= this.#permits);
    const guard = new Guard(this, -1);
    const got = (await drive(() => native.acquiring(this.#handle), checked)) ?? native.NO;
    guard.slot = got >> 1;
    guard.ownerDied = (got & 1) !== 0;
    return got >= 0 && guard;
  }

  /** Gives back the permit of a guard of any thread of this process, by its `slot`. */
  release(slot) {
    native.release(this.#handle, whole('slot', slot, 0, this.#permits - 1));
  }

  withPermit(work) {
    return during(this.acquire(), work);
  }

  withPermitAsync(work, options) {
    return duringAsync(this.#key, this.acquireAsync(options), work);
  }

  [END](slot) {
    native.endPermit(this.#handle, slot);
  }
}

module.exports = { Semaphore };
