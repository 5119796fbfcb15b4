'use strict';

// Messages of any size from one process to another, through a ring of bytes. With one producer, messages are sent and
// received here within two windows: the part of the ring that the addon found to be free, and the part that it found to
// be readable. If nothing is known, a window is empty, and the addon looks.

const { bufferOf } = require('../arrays.js');
const { checkOptions, checkTimeout, integer, placeOf, powerOfTwo } = require('./arguments.js');
const { Into, checkTarget, copyOut, part, readOut, toBytes, tooShort } = require('./bytes.js');
const errors = require('./errors.js');
const { give } = require('./loop.js');
const { Source } = require('./messages.js');
const native = require('./native.js');
const { Draft, disposable, own, unlessGivenUp } = require('./objects.js');
const { within } = require('./operations.js');
const { Line, ask, pending } = require('./pending.js');
const { throwIfAborted } = require('./signals.js');
const { Soundness, counter } = require('./soundness.js');

const { RECORD, RING, SLEEPERS, NO_MESSAGE, out } = native;

// Words, by their index.
const PRODUCER_AT = native.HEAD >> 2;
const CONSUMER_AT = native.TAIL >> 2;
const CONSUMER_EVENT = native.CONSUMER_EVENT >> 2;
const PRODUCERS_EVENT = native.PRODUCERS_EVENT >> 2;

// The windows, which the addon and this file share.
const [HEAD, ROOM, TAIL, READABLE] = [0, 1, 2, 3];

const PRODUCERS = ['one', 'many'];

const sizeOf = (length) => (length + RECORD + 7) & ~7;

// Whether an ordinary read stays behind an atomic write that comes before it. On x86 such a write is a barrier, and no
// runtime moves an ordinary read across it; `Atomics.load` would be a call. Between a message and its wake-up, no
// function of this package is called, because V8 may end a worker when a function begins. Nor is one called from there
// until the message is returned: the stack may be full, and then the message would be sent twice, or lost.
const isOrdered = ['x64', 'ia32'].includes(process.arch);

/** Capacity, and whether there are many producers. */
function checkMade({ capacity, producers = 'one' }) {
  if (!PRODUCERS.includes(producers)) throw errors.wrongValue('producers', producers, "is neither 'one' nor 'many'");
  powerOfTwo('capacity', capacity, native.LEAST_CAPACITY, native.MOST_CAPACITY);
  return [capacity, PRODUCERS.indexOf(producers)];
}

/** How many messages at most. */
function checkDrain(callback, options = {}) {
  if (typeof callback !== 'function') throw errors.wrongType('callback', 'a function', callback);
  if (typeof options !== 'object' || options === null) throw errors.wrongType('options', 'an object', options);
  const { max = Infinity } = options;
  return max === Infinity ? max : integer('max', max, 1, Number.MAX_SAFE_INTEGER);
}

/** Releases a message of a channel. */
let release;

class Channel {
  #handle;
  #words;
  #bytes;
  #mask;
  #windows;
  #sound;
  #capacity;
  #producers;
  #maxMessage;
  #lost = 0;
  // The number of closes: reservations and peeked messages from before a close are given up.
  #closes = 0;
  #sending = new Line();
  #source = new Source(
    () => native.peeking(this.#handle),
    () => this.tryReceive(),
    // At most the messages that are there now, however fast others come.
    () => {
      const end = this.#end;
      return () => this.#isBefore(end);
    },
  );
  #peeking = this.#source.taking(() => this.tryPeek());
  #into = new Into();

  static {
    release = (channel, position, closes) => channel.#release(position, closes);
  }

  static byteLength(options) {
    return native.channelLength(checkMade(options)[0]);
  }

  constructor(view, index, options) {
    const [number, offset, room] = placeOf(view, index);
    const buffer = bufferOf(view);
    const windows = native.openChannel(number, offset, room, ...(options === undefined ? [0, 0] : checkMade(options)));
    const [handle, capacity, producers, maxMessage] = out;
    this.#handle = own(this, handle);
    this.#windows = new Int32Array(windows);
    this.#words = new Int32Array(buffer, offset, (RING + capacity) >> 2);
    this.#bytes = new Uint8Array(buffer, offset, RING + capacity);
    this.#mask = capacity - 8;
    this.#sound = new Soundness(number);
    this.#capacity = capacity;
    this.#producers = PRODUCERS[producers];
    this.#maxMessage = maxMessage;
  }

  get capacity() {
    return this.#capacity;
  }

  get producers() {
    return this.#producers;
  }

  get maxMessage() {
    return this.#maxMessage;
  }

  get lost() {
    // These values stay available when the segment is detached.
    unlessGivenUp(() => (this.#lost = native.lost(this.#handle)));
    return this.#lost;
  }

  // Sends a message within the window.
  #put(message, length, size) {
    const words = this.#words;
    const windows = this.#windows;
    const at = RING + (windows[HEAD] & this.#mask);
    const head = (windows[HEAD] + size) | 0;
    this.#bytes.set(message, at + RECORD);
    words[at >> 2] = length;
    Atomics.store(words, PRODUCER_AT, head);
    windows[HEAD] = head;
    windows[ROOM] -= size;
    const event = isOrdered ? words[CONSUMER_EVENT] : Atomics.load(words, CONSUMER_EVENT);
    if ((event & SLEEPERS) !== 0) native.wakeConsumer(this.#handle);
    if (counter[0] !== this.#sound.seen) this.#sound.check();
    return true;
  }

  trySend(message) {
    const bytes = toBytes(message);
    const { length } = bytes;
    const size = sizeOf(length);
    if (size <= this.#windows[ROOM]) return this.#put(bytes, length, size);
    return native.trySend(this.#handle, bytes) >= 0;
  }

  send(message, timeout) {
    const bytes = toBytes(message);
    const limit = checkTimeout(timeout);
    return this.trySend(bytes) || within(limit, native.send, this.#handle, bytes) >= 0;
  }

  sendAsync(message, options) {
    try {
      const bytes = toBytes(message);
      const checked = checkOptions(options);
      throwIfAborted(checked.signal);
      if (this.#sending.isFree && this.trySend(bytes)) {
        this.#sending.spin.isDue = true;
        return give(true);
      }
      const { length } = bytes;
      const look = () => {
        if (bytes.length < length) throw errors.changed();
        return this.trySend(bytes.length === length ? bytes : bytes.subarray(0, length));
      };
      const use = (reservation) => {
        if (!native.fill(this.#handle, reservation, bytes, length)) throw errors.changed();
        return true;
      };
      return pending(this.#reserving(false, look, length, use), checked);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  // How to wait for room for a message; `use` makes the result.
  #reserving(none, look, length, use) {
    const begin = () => native.reserving(this.#handle, length);
    return { none, look, begin, use, line: this.#sending, spin: this.#sending.spin };
  }

  #open(reservation, length, at) {
    const closes = this.#closes;
    const end = (commits) => {
      if (this.#words.length === 0) throw errors.detached();
      if (this.#closes !== closes) throw errors.closed();
      (commits ? native.commit : native.abandon)(this.#handle, reservation);
    };
    return new Draft(this.#bytes.subarray(at, at + length), end);
  }

  #reserveWithin(timeout, length) {
    integer('length', length, 0, 0x7fffffff);
    const reservation = within(timeout, native.reserve, this.#handle, length);
    if (reservation < 0) return null;
    try {
      return this.#open(reservation, length, out[0]);
    } catch (error) {
      native.abandon(this.#handle, reservation); // there is no stack to make the draft
      throw error;
    }
  }

  tryReserve(length) {
    return this.#reserveWithin(0, length);
  }

  reserve(length, timeout) {
    return this.#reserveWithin(checkTimeout(timeout), length);
  }

  reserveAsync(length, options) {
    const open = (reservation) => this.#open(reservation, length, native.place(this.#handle, reservation));
    return ask(this.#reserving(null, () => this.tryReserve(length), length, open), options);
  }

  // The length of the message at the tail, if it is within the window; otherwise a value that is not a length.
  #known(readable = this.#windows[READABLE]) {
    const windows = this.#windows;
    const header = this.#words[(RING + (windows[TAIL] & this.#mask)) >> 2];
    return (header & NO_MESSAGE) === 0 && sizeOf(header) <= readable ? header : -1;
  }

  // The place of the message at the tail.
  #at() {
    return RING + (this.#windows[TAIL] & this.#mask) + RECORD;
  }

  // The length that the message at the tail probably has; below 0 if there is probably none.
  #likely() {
    const words = this.#words;
    const windows = this.#windows;
    return words[PRODUCER_AT] === windows[TAIL] ? -1 : words[(RING + (windows[TAIL] & this.#mask)) >> 2];
  }

  // Releases a message within the window.
  #next(length) {
    const words = this.#words;
    const windows = this.#windows;
    const size = sizeOf(length);
    const tail = (windows[TAIL] + size) | 0;
    Atomics.store(words, CONSUMER_AT, tail);
    windows[TAIL] = tail;
    windows[READABLE] -= size;
    const event = isOrdered ? words[PRODUCERS_EVENT] : Atomics.load(words, PRODUCERS_EVENT);
    if ((event & SLEEPERS) !== 0) native.wakeProducer(this.#handle);
    if (counter[0] !== this.#sound.seen) this.#sound.check();
  }

  // The message is released when it is copied: if the stack is full before, it stays.
  #copy(length) {
    const copy = copyOut(this.#words, this.#bytes, this.#at(), length);
    this.#next(length);
    return copy;
  }

  tryReceive() {
    const length = this.#known();
    if (length >= 0) return this.#copy(length);
    return readOut(0, native.tryReceiveInto, this.#handle, this.#likely());
  }

  receive(timeout) {
    const limit = checkTimeout(timeout);
    return this.tryReceive() ?? readOut(limit, native.receiveInto, this.#handle, this.#likely());
  }

  receiveAsync(options) {
    return this.#source.receive(options);
  }

  #copyInto(target, length) {
    this.#into.copy(this.#words, this.#bytes, this.#at(), length, target);
    this.#next(length);
    return length;
  }

  tryReceiveInto(target) {
    checkTarget(target);
    const length = this.#known();
    if (length >= 0) return this.#copyInto(target, length);
    const got = native.tryReceiveInto(this.#handle, target);
    if (got === native.SHORT) throw tooShort(target, out[0]);
    return got;
  }

  receiveInto(target, timeout) {
    checkTarget(target);
    const limit = checkTimeout(timeout);
    const length = this.tryReceiveInto(target);
    if (length >= 0) return length;
    const got = within(limit, native.receiveInto, this.#handle, target, 0, target.length);
    if (got === native.SHORT) throw tooShort(target, out[0]);
    return got;
  }

  #message(length, at) {
    this.#sound.check();
    return new Message(this.#bytes.subarray(at, at + length), this, this.#windows[TAIL], this.#closes);
  }

  #peekWithin(timeout) {
    const length = this.#known();
    if (length >= 0) return this.#message(length, this.#at());
    const found = within(timeout, native.peek, this.#handle);
    return found >= 0 ? this.#message(found, out[0]) : null;
  }

  tryPeek() {
    return this.#peekWithin(0);
  }

  peek(timeout) {
    return this.#peekWithin(checkTimeout(timeout));
  }

  peekAsync(options) {
    return ask(this.#peeking, options);
  }

  #release(position, closes) {
    if (this.#words.length === 0) throw errors.detached();
    if (this.#closes !== closes) throw errors.closed();
    if (this.#windows[TAIL] !== position) throw errors.notHeld();
    const length = this.#known();
    if (length >= 0) this.#next(length);
    else native.releaseMessage(this.#handle, position);
  }

  drain(callback, options) {
    const most = checkDrain(callback, options);
    const words = this.#words;
    const windows = this.#windows;
    const closes = this.#closes;
    const isOne = this.#producers === 'one';
    let length = native.drain(this.#handle, true, false);
    if (length < 0) return 0;
    let count = 0;
    // Only this call knows the window. Other calls have to ask the addon, which refuses them until this one is done.
    let isOurs = true;
    let readable = windows[READABLE];
    windows[READABLE] = 0;
    let isPassed = false;
    try {
      this.#source.line.spin.isDue = true;
      const end = this.#end;
      for (;;) {
        const size = sizeOf(length);
        const view = part(this.#bytes, this.#at(), length);
        count++;
        isPassed = true;
        try {
          callback(view);
        } finally {
          // Here too no function is called: if the stack were full, the message would be passed once more. (The
          // words of a segment that was detached are undefined; `length` would be a call.)
          isOurs = this.#closes === closes && words[CONSUMER_AT] !== undefined;
          if (isOurs && isOne) {
            // As in `#next`.
            const tail = (windows[TAIL] + size) | 0;
            Atomics.store(words, CONSUMER_AT, tail);
            windows[TAIL] = tail;
            readable -= size;
            const event = isOrdered ? words[PRODUCERS_EVENT] : Atomics.load(words, PRODUCERS_EVENT);
            if ((event & SLEEPERS) !== 0) native.wakeProducer(this.#handle);
            if (counter[0] !== this.#sound.seen) this.#sound.check();
          }
        }
        // With many producers, the addon releases the last message when it looks for the next.
        if (!isOurs || count === most || !this.#isBefore(isOne ? end : end - size)) break;
        length = this.#known(readable);
        if (length >= 0) continue;
        isOurs = false;
        length = native.drain(this.#handle, false, !isOne);
        if (length < 0) break;
        isOurs = true;
        isPassed = false;
        readable = windows[READABLE];
        windows[READABLE] = 0;
      }
    } finally {
      if (isOurs) native.drained(this.#handle, isPassed && !isOne);
    }
    return count;
  }

  // The position behind the messages that are there now.
  get #end() {
    return Atomics.load(this.#words, PRODUCER_AT);
  }

  #isBefore(end) {
    return ((end - this.#windows[TAIL]) | 0) > 0;
  }

  messages(options) {
    const closes = this.#closes;
    return this.#source.messages(options, () => {
      if (this.#closes !== closes) throw errors.closed();
    });
  }

  [Symbol.asyncIterator]() {
    return this.messages();
  }

  close() {
    this.#closes++;
    unlessGivenUp(() => native.closeChannel(this.#handle));
    for (const line of [this.#sending, this.#source.line]) line.fail(errors.closed());
  }
}
disposable(Channel, Channel.prototype.close);

/** A message in place, until it is released. */
class Message {
  #channel;
  #position;
  #closes;

  constructor(view, channel, position, closes) {
    this.view = view;
    this.#channel = channel;
    this.#position = position;
    this.#closes = closes;
  }

  /** Releases it: its room is free for other messages. */
  release() {
    const channel = this.#channel;
    if (channel === undefined) throw errors.notHeld();
    this.#channel = undefined;
    release(channel, this.#position, this.#closes);
  }

  static dispose() {
    if (this.#channel !== undefined) unlessGivenUp(() => this.release());
  }
}
disposable(Message, Message.dispose);

module.exports = { Channel };
