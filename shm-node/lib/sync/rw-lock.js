'use strict';

const { checkOptions, checkTimeout, holders, keyOf, placeOf, whole } = require('./arguments.js');
const { checkChain, held } = require('./chains.js');
const { END, Guard, during, duringAsync } = require('./guard.js');
const native = require('./native.js');
const { own } = require('./objects.js');
const { drive } = require('./operations.js');

const { AGAIN } = native;

/** The slot of a writer's guard. */
const FOR_WRITING = -1;

class RwLock {
  #handle;
  #key;
  #readingKey;
  #readers;

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
    const guard = new Guard(this, -1);
    let got = native.read(this.#handle, timeout);
    while (got === AGAIN) got = native.goOn();
    guard.slot = got >> 1;
    guard.ownerDied = (got & 1) !== 0;
    return got >= 0 && guard;
  }

  tryRead() {
    const guard = new Guard(this, -1);
    const got = native.tryRead(this.#handle);
    guard.slot = got >> 1;
    guard.ownerDied = (got & 1) !== 0;
    return got >= 0 && guard;
  }

  async readAsync(options) {
    const checked = checkOptions(options);
    const reading = held(this.#readingKey);
    checkChain(checked, () => held(this.#key) > 0 || reading >= this.#readers);
    const waitsForUs = () => reading > 0 && native.isWritten(this.#handle);
    const guard = new Guard(this, -1);
    const check = () => checkChain(checked, waitsForUs);
    const got = (await drive(() => native.reading(this.#handle), checked, undefined, check)) ?? native.NO;
    guard.slot = got >> 1;
    guard.ownerDied = (got & 1) !== 0;
    return got >= 0 && guard;
  }

  write(timeout = Infinity) {
    if (timeout !== Infinity) checkTimeout(timeout);
    const guard = new Guard(this, FOR_WRITING);
    let got = native.write(this.#handle, timeout);
    while (got === AGAIN) got = native.goOn();
    guard.ownerDied = got === 1;
    return got >= 0 && guard;
  }

  tryWrite() {
    const guard = new Guard(this, FOR_WRITING);
    const got = native.tryWrite(this.#handle);
    guard.ownerDied = got === 1;
    return got >= 0 && guard;
  }

  async writeAsync(options) {
    const checked = checkOptions(options);
    checkChain(checked, () => held(this.#key) > 0 || held(this.#readingKey) > 0);
    const guard = new Guard(this, FOR_WRITING);
    const got = (await drive(() => native.writing(this.#handle), checked)) ?? native.NO;
    guard.ownerDied = got === 1;
    return got >= 0 && guard;
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
