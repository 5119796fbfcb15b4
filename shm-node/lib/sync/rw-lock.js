'use strict';

const { holders, integer, placeOf } = require('./arguments.js');
const { held } = require('./chains.js');
const { END, FOR_WRITING, Lock, acquirable, handleOf, mostOf } = require('./lock.js');
const native = require('./native.js');

const READ = ' read';

const reading = {
  verb: 'read',
  noun: 'Read',
  take: (handle, timeout) => native.read(handle, timeout),
  attempt: (handle) => native.tryRead(handle),
  begin: native.reading,
  suffix: READ,
  isHeld: (key, lock) => held(key) > 0 || held(key + READ) >= mostOf(lock),
  // The new reader would wait for a writer, and the writer waits for this chain to end its reading.
  waiting: (key, lock) => (held(key + READ) > 0 ? () => native.isWritten(handleOf(lock)) : undefined),
};

const writing = {
  verb: 'write',
  noun: 'Write',
  take: (handle, timeout) => native.write(handle, timeout),
  attempt: (handle) => native.tryWrite(handle),
  begin: native.writing,
  slot: FOR_WRITING,
  isHeld: (key) => held(key) > 0 || held(key + READ) > 0,
};

class RwLock extends acquirable(acquirable(Lock, reading), writing) {
  static byteLength({ readers }) {
    return native.rwLockLength(holders('readers', { readers }, native.MOST_READERS));
  }

  constructor(view, index, options) {
    const place = placeOf(view, index);
    super(place, ...native.openRwLock(...place, holders('readers', options, native.MOST_READERS)));
  }

  get readers() {
    return mostOf(this);
  }

  /** Releases the reader of a guard of any thread of this process, by its `slot`. */
  endRead(slot) {
    native.releaseRead(handleOf(this), integer('slot', slot, 0, mostOf(this) - 1));
  }

  /** Releases the writer, of any thread of this process. */
  endWrite() {
    native.releaseWrite(handleOf(this));
  }

  [END](slot) {
    if (slot === FOR_WRITING) native.endWrite(handleOf(this));
    else native.endRead(handleOf(this), slot);
  }
}

module.exports = { RwLock };
