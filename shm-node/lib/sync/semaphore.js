'use strict';

const { holders, integer, placeOf } = require('./arguments.js');
const { held } = require('./chains.js');
const { END, Lock, acquirable, handleOf, mostOf } = require('./lock.js');
const native = require('./native.js');

const acquiring = {
  verb: 'acquire',
  noun: 'Permit',
  take: (handle, timeout) => native.acquire(handle, timeout),
  attempt: (handle) => native.tryAcquire(handle),
  begin: native.acquiring,
  isHeld: (key, semaphore) => held(key) >= mostOf(semaphore),
};

class Semaphore extends acquirable(Lock, acquiring) {
  static byteLength({ permits }) {
    return native.semaphoreLength(holders('permits', { permits }, native.MOST_PERMITS));
  }

  constructor(view, index, options) {
    const place = placeOf(view, index);
    super(place, ...native.openSemaphore(...place, holders('permits', options, native.MOST_PERMITS)));
  }

  get permits() {
    return mostOf(this);
  }

  /** Releases the permit of a guard of any thread of this process, by its `slot`. */
  release(slot) {
    native.release(handleOf(this), integer('slot', slot, 0, mostOf(this) - 1));
  }

  [END](slot) {
    native.endPermit(handleOf(this), slot);
  }
}

module.exports = { Semaphore };
