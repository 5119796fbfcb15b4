'use strict';

const { checkTimeout, holders, keyOf, placeOf, whole } = require('./arguments.js');
const { held } = require('./chains.js');
const { END, Guard, during, duringAsync, taken, takenAsync } = require('./guard.js');
const { Spin } = require('./loop.js');
const native = require('./native.js');
const { own } = require('./objects.js');

class Semaphore {
  #handle;
  #key;
  #permits;
  #spin = new Spin();

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
    return taken(new Guard(this), native.acquire, this.#handle, timeout);
  }

  tryAcquire() {
    return taken(new Guard(this), native.tryAcquire, this.#handle);
  }

  acquireAsync(options) {
    const way = { spin: this.#spin, isHeld: () => held(this.#key) >= this.#permits };
    return takenAsync(new Guard(this), native.tryAcquire, native.acquiring, this.#handle, way, options);
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
