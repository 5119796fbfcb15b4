'use strict';

const { checkTimeout, holders, keyOf, placeOf, whole } = require('./arguments.js');
const { checkChain, held } = require('./chains.js');
const { END, FOR_WRITING, Guard, during, duringAsync, taken, takenAsync } = require('./guard.js');
const { Spin } = require('./loop.js');
const native = require('./native.js');
const { own } = require('./objects.js');

class RwLock {
  #handle;
  #key;
  #readingKey;
  #readers;
  #reading = new Spin();
  #writing = new Spin();

  static byteLength(options) {
    return native.rwLockLength(holders('readers', { readers: options.readers }, native.MOST_READERS));
  }

  constructor(view, index, options) {
    const [number, offset, room] = placeOf(view, index);
    const wanted = holders('readers', options, native.MOST_READERS);
    const [handle, readers] = native.openRwLock(number, offset, room, wanted);
    this.#key = keyOf([number, offset]);
    this.#readingKey = `${this.#key} read`;
    this.#handle = own(this, handle);
    this.#readers = readers;
  }

  get readers() {
    return this.#readers;
  }

  read(timeout = Infinity) {
    if (timeout !== Infinity) checkTimeout(timeout);
    return taken(new Guard(this), native.read, this.#handle, timeout);
  }

  tryRead() {
    return taken(new Guard(this), native.tryRead, this.#handle);
  }

  readAsync(options) {
    const reading = held(this.#readingKey);
    const isHeld = () => held(this.#key) > 0 || reading >= this.#readers;
    const waitsForUs = () => reading > 0 && native.isWritten(this.#handle);
    const way = { spin: this.#reading, isHeld, check: (options) => checkChain(options, waitsForUs) };
    return takenAsync(new Guard(this), native.tryRead, native.reading, this.#handle, way, options);
  }

  write(timeout = Infinity) {
    if (timeout !== Infinity) checkTimeout(timeout);
    return taken(new Guard(this, FOR_WRITING), native.write, this.#handle, timeout);
  }

  tryWrite() {
    return taken(new Guard(this, FOR_WRITING), native.tryWrite, this.#handle);
  }

  writeAsync(options) {
    const way = { spin: this.#writing, isHeld: () => held(this.#key) > 0 || held(this.#readingKey) > 0 };
    return takenAsync(new Guard(this, FOR_WRITING), native.tryWrite, native.writing, this.#handle, way, options);
  }

  /** Ends the reading of a guard of any thread of this process, by its `slot`. */
  endRead(slot) {
    native.releaseRead(this.#handle, whole('slot', slot, 0, this.#readers - 1));
  }

  /** Ends the writing of any thread of this process. */
  endWrite() {
    native.releaseWrite(this.#handle);
  }

  withRead(work) {
    return during(this.read(), work);
  }

  withReadAsync(work, options) {
    return duringAsync(this.#readingKey, this.readAsync(options), work);
  }

  withWrite(work) {
    return during(this.write(), work);
  }

  withWriteAsync(work, options) {
    return duringAsync(this.#key, this.writeAsync(options), work);
  }

  [END](slot) {
    if (slot === FOR_WRITING) native.endWrite(this.#handle);
    else native.endRead(this.#handle, slot);
  }
}

module.exports = { RwLock };
