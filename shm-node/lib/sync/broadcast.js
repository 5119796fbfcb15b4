'use strict';

// Messages from one producer to many readers, each at its own pace.

const { bufferOf } = require('../arrays.js');
const { checkTimeout, integer, placeOf, powerOfTwo } = require('./arguments.js');
const { checkTarget, readOut, toBytes, tooShort } = require('./bytes.js');
const errors = require('./errors.js');
const { Source } = require('./messages.js');
const native = require('./native.js');
const { Draft, disposable, own, unlessGivenUp } = require('./objects.js');

const { NO, out } = native;
// The answers of the addon about a message.
const numbers = new Float64Array(out.buffer);
const [NUMBER, MISSED] = [1, 2];

const MOST = 2 ** 31;

const checkMade = ({ slots, maxMessage }) => [
  powerOfTwo('slots', slots, 2, MOST / 64),
  integer('maxMessage', maxMessage, 1, MOST),
];

class Broadcast {
  #handle;
  #slots;
  #maxMessage;
  #bytes;
  // The number of closes: a draft that was begun before a close is abandoned.
  #closes = 0;

  static byteLength(options) {
    return native.broadcastLength(...checkMade(options));
  }

  constructor(view, index, options) {
    const [number, offset, room] = placeOf(view, index);
    const buffer = bufferOf(view);
    const made = options === undefined ? [0, 0] : checkMade(options);
    [this.#handle, this.#slots, this.#maxMessage] = native.openBroadcast(number, offset, room, ...made);
    own(this, this.#handle);
    this.#bytes = new Uint8Array(buffer, offset, native.broadcastLength(this.#slots, this.#maxMessage));
  }

  get slots() {
    return this.#slots;
  }

  get maxMessage() {
    return this.#maxMessage;
  }

  /** The number of the next message, which is the count of messages so far. */
  get next() {
    return native.next(this.#handle);
  }

  send(message) {
    return native.sendNews(this.#handle, toBytes(message));
  }

  draft(length) {
    integer('length', length, 0, MOST);
    const closes = this.#closes;
    const at = native.draft(this.#handle, length);
    const end = (sends) => {
      if (this.#bytes.length === 0) throw errors.detached();
      if (this.#closes !== closes) throw errors.closed();
      return native.endDraft(this.#handle, sends);
    };
    try {
      return new Draft(this.#bytes.subarray(at, at + length), end);
    } catch (error) {
      native.endDraft(this.#handle, false); // there is no stack to make the draft
      throw error;
    }
  }

  reader({ rewind = false } = {}) {
    if (typeof rewind !== 'boolean') throw errors.wrongType('rewind', 'a boolean', rewind);
    return new Reader(this.#bytes, this.#slots, ...native.reader(this.#handle, rewind));
  }

  close() {
    this.#closes++;
    unlessGivenUp(() => native.closeBroadcast(this.#handle));
  }
}
disposable(Broadcast, Broadcast.prototype.close);

/** Reads messages at its own pace, and writes nothing. */
class Reader {
  #bytes;
  #handle;
  #source;

  constructor(bytes, slots, handle, canSleep) {
    this.#bytes = bytes;
    this.#handle = own(this, handle);
    const begin = canSleep === 0 ? undefined : () => native.watching(this.#handle);
    // At most as many messages as there are slots, however fast they come.
    this.#source = new Source(begin, () => this.tryReceive(), () => (count) => count < slots);
  }

  /** The number of the message that it reads next. */
  get next() {
    return native.readerNext(this.#handle);
  }

  #receiveWithin(timeout) {
    const message = readOut(timeout, native.readInto, this.#handle);
    return message === null ? null : { number: numbers[NUMBER], missed: numbers[MISSED], message };
  }

  tryReceive() {
    return this.#receiveWithin(0);
  }

  /** As `tryReceive`; `message` is the part of `target` that was written. */
  tryReceiveInto(target) {
    const length = native.readInto(this.#handle, checkTarget(target), 0, target.length, 0);
    if (length === NO) return null;
    if (length < 0) throw tooShort(target, out[0]);
    const message = target.length === length ? target : target.subarray(0, length);
    return { number: numbers[NUMBER], missed: numbers[MISSED], message };
  }

  /** The next message in place. What you read is valid only if `finish()` does not return null. */
  tryPeek() {
    const length = native.peekNews(this.#handle);
    if (length === NO) return null;
    const number = numbers[NUMBER];
    const at = out[0] >>> 0;
    const message = this.#bytes.subarray(at, at + length);
    const finish = () => {
      if (native.finish(this.#handle, number) === NO) return null;
      return { number, missed: numbers[MISSED], message };
    };
    return { view: message, finish };
  }

  receive(timeout) {
    return this.#receiveWithin(checkTimeout(timeout));
  }

  receiveAsync(options) {
    return this.#source.receive(options);
  }

  messages(options) {
    return this.#source.messages(options);
  }

  [Symbol.asyncIterator]() {
    return this.messages();
  }
}

module.exports = { Broadcast };
