'use strict';

// Messages from one producer to many readers, each at its own pace. As shm-sync/src/protocol/latest.rs.

const { Into, checkTarget, copyOut, isMoved, toBytes } = require('./bytes.js');
const { after, now } = require('./clock.js');
const errors = require('./errors.js');
const { Messages } = require('./messages.js');
const { fence, load } = require('./order.js');
const { Place, checked, disposable, spin, whole } = require('./place.js');
const { Roles } = require('./roles.js');
const { offAbort, onAbort, reasonOf, throwIfAborted } = require('./signals.js');
const { SLEEPERS, prepareEvent, readAfterWrite, wakeEvent } = require('./words.js');
const waits = require('./waits.js');

const KIND = { name: 'broadcast', letter: 'P', align: 64, readOnly: true };

// Words, by their index.
const SLOTS = 2;
const MAX_MESSAGE = 3;
const HEAD_HIGH = 32;
const HEAD_LOW = 33;
const HEAD_HIGH_AGAIN = 34;
const PRODUCER = 35;
const READERS_EVENT = 64;

// Bytes.
const DATA = 512;
const MESSAGE = 8;
const SIZE_MAX = 2 ** 31;

const HALF = 2 ** 32;

// How often a reader that is overtaken while it reads tries again before it says that there is nothing.
const ATTEMPTS = 8;

const strideOf = (maxMessage) => Math.ceil((MESSAGE + maxMessage) / 64) * 64;

function checkOptions({ slots, maxMessage }) {
  whole('slots', slots, 2, SIZE_MAX / 64);
  if ((slots & (slots - 1)) !== 0) throw errors.outOfRange('slots', 'a power of two', slots);
  whole('maxMessage', maxMessage, 1, SIZE_MAX);
  if (slots * strideOf(maxMessage) > SIZE_MAX) {
    throw errors.outOfRange('maxMessage', 'so long that all slots take at most 2 GiB', maxMessage);
  }
  return { slots, maxMessage, stride: strideOf(maxMessage) };
}

const MEMORY = Symbol('memory');

class Broadcast {
  #at;
  #roles;
  #memory;
  #sends = false;
  #next = 0;
  #drafting = false;
  // Goes up at each close: a draft that was begun before it is given up.
  #era = 0;

  static byteLength(options) {
    const { slots, stride } = checkOptions(options);
    return DATA + slots * stride;
  }

  constructor(view, index, options) {
    const at = new Place(KIND, view, index);
    const made = options === undefined ? Broadcast.#found(at) : checkOptions(options);
    const byteLength = DATA + made.slots * made.stride;
    if (options !== undefined && !at.readOnly) {
      const words = [
        ['a number of slots,', SLOTS, made.slots],
        ['a longest message,', MAX_MESSAGE, made.maxMessage],
      ];
      at.open(byteLength, words);
    } else {
      const [slots, maxMessage] = at.stamped(SLOTS, MAX_MESSAGE);
      if (slots !== made.slots) throw errors.options(KIND.name, 'a number of slots,', slots, made.slots);
      if (maxMessage !== made.maxMessage) throw errors.options(KIND.name, 'a longest message,', maxMessage, made.maxMessage);
      at.words = at.span(byteLength);
    }
    this.#at = at;
    this.#roles = new Roles(this, at);
    this.#memory = { ...made, at, words: at.words, bytes: new Uint8Array(at.buffer, at.start, byteLength) };
  }

  static #found(at) {
    const [slots, maxMessage] = at.stamped(SLOTS, MAX_MESSAGE);
    try {
      return checkOptions({ slots, maxMessage });
    } catch {
      throw errors.damaged(KIND.name, 'its options are impossible');
    }
  }

  get slots() {
    return this.#memory.slots;
  }

  get maxMessage() {
    return this.#memory.maxMessage;
  }

  /** The number of the next message: how many there have been. */
  get next() {
    return this.#sends ? this.#next : this.reader().next;
  }

  #check() {
    this.#at.check();
    if (!this.#sends) this.#startSending();
    if (this.#drafting) throw errors.reserved();
  }

  #startSending() {
    const { words } = this.#at;
    if (this.#at.readOnly) throw errors.wrongValue('view', words, 'is read-only: get it for writing to send');
    if (this.#at.live === undefined) {
      this.#at.meet();
      if (Atomics.load(words, 1) >>> 0 !== this.#at.liveId) throw errors.otherLiveFile(KIND.name);
    }
    this.#roles.take(PRODUCER * 4, 'producer');
    // The one before may have died while moving the head. The upper half goes up when the lower one goes to 0.
    const low = Atomics.load(words, HEAD_LOW) >>> 0;
    const high = Atomics.load(words, low >= HALF / 2 ? HEAD_HIGH_AGAIN : HEAD_HIGH);
    Atomics.store(words, HEAD_HIGH, high);
    Atomics.store(words, HEAD_HIGH_AGAIN, high);
    this.#next = (high >>> 0) * HALF + low;
    this.#sends = true;
  }

  #begin(length) {
    const { words, maxMessage } = this.#memory;
    if (length > maxMessage) throw errors.tooLong(length, maxMessage);
    const offset = offsetOf(this.#memory, this.#next);
    // Nothing of the new message is seen before the stamp is.
    Atomics.exchange(words, offset >>> 2, (this.#next + 1) | 0);
    fence();
    words[(offset >>> 2) + 1] = length;
    return offset + MESSAGE;
  }

  #publish() {
    const { words } = this.#memory;
    const number = this.#next;
    const [before, high] = [Math.floor(number / HALF) | 0, Math.floor((number + 1) / HALF) | 0];
    if (high !== before) Atomics.store(words, HEAD_HIGH, high);
    Atomics.store(words, HEAD_LOW, (number + 1) | 0);
    if (high !== before) Atomics.store(words, HEAD_HIGH_AGAIN, high);
    this.#next = number + 1;
    if ((readAfterWrite(words, READERS_EVENT) & SLEEPERS) !== 0) wakeEvent(this.#at, READERS_EVENT);
    return number;
  }

  send(message) {
    const bytes = message instanceof Uint8Array ? message : toBytes(message);
    if (bytes.length === 0 && isMoved(bytes)) throw errors.changed();
    this.#check();
    this.#memory.bytes.set(bytes, this.#begin(bytes.length));
    return this.#publish();
  }

  draft(length) {
    whole('length', length, 0, SIZE_MAX);
    this.#check();
    const era = this.#era;
    const start = this.#begin(length);
    this.#drafting = true;
    const end = (sends) => {
      this.#at.check();
      if (this.#era !== era) throw errors.closed();
      this.#drafting = false;
      const number = sends ? this.#publish() : undefined;
      this.#at.check();
      return number;
    };
    return new Draft(this.#memory.bytes.subarray(start, start + length), end);
  }

  reader(options) {
    this.#at.check();
    return new Reader(this[MEMORY](), options);
  }

  [MEMORY]() {
    return this.#memory;
  }

  close() {
    if (this.#at.words.length > 0) this.#roles.end();
    this.#era++;
    this.#sends = false;
    this.#drafting = false;
  }

  static {
    checked(Broadcast, (broadcast) => broadcast.#at, ['send', 'draft', 'reader']);
  }
}
disposable(Broadcast, Broadcast.prototype.close);

/** A message being written. */
class Draft {
  #end;

  constructor(view, end) {
    this.view = view;
    this.#end = end;
  }

  /** Sends it, and gives its number. */
  commit() {
    return this.#finish(true);
  }

  /** Sends nothing. */
  abandon() {
    this.#finish(false);
  }

  #finish(sends) {
    const end = this.#end;
    if (end === undefined) throw errors.notHeld();
    this.#end = undefined;
    return end(sends);
  }

  static dispose() {
    if (this.#end === undefined) return;
    try {
      this.abandon();
    } catch (error) {
      // A close or a detach has given it up.
      if (!['ERR_SHM_CLOSED', 'ERR_SHM_DETACHED', 'ERR_SHM_SHRUNK'].includes(error.code)) throw error;
    }
  }
}
disposable(Draft, Draft.dispose);

const offsetOf = (memory, number) => DATA + (number % memory.slots) * memory.stride;

/** Reads messages at its own pace, without a trace. */
class Reader {
  #memory;
  #words;
  #next;
  #missed = 0;
  // How often in a row.
  #overtaken = 0;
  #length = 0;
  #into = new Into();

  constructor(memory, { rewind = false } = {}) {
    if (typeof rewind !== 'boolean') throw errors.wrongType('rewind', 'a boolean', rewind);
    this.#memory = memory;
    this.#words = memory.words;
    this.#next = 0;
    this.#next = this.#head();
    if (rewind) this.#next = Math.max(0, this.#next - memory.slots);
  }

  /** The number of the message that it wants next. */
  get next() {
    return this.#next;
  }

  #head() {
    const words = this.#words;
    // The halves differ for a moment in four thousand million messages, or if a producer was killed in it.
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const again = load(words, HEAD_HIGH_AGAIN);
      const low = load(words, HEAD_LOW) >>> 0;
      const high = load(words, HEAD_HIGH);
      if (high === again) {
        const head = (high >>> 0) * HALF + low;
        if (head > Number.MAX_SAFE_INTEGER) throw errors.damaged(KIND.name, 'its head is impossible');
        return head;
      }
    }
    return this.#next;
  }

  #isThere() {
    return load(this.#words, offsetOf(this.#memory, this.#next) >>> 2) === ((this.#next + 1) | 0);
  }

  #isStillThere() {
    fence();
    return this.#isThere();
  }

  // Goes to the next message that is there, and knows its length.
  #find() {
    this.#memory.at.check();
    const { slots, maxMessage } = this.#memory;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const head = this.#head();
      if (head === this.#next) return false;
      if (head < this.#next) throw errors.damaged(KIND.name, 'its head went back');
      if (attempt > 0 || head - this.#next > slots) this.#skip(head);
      if (this.#isThere()) {
        this.#length = this.#words[(offsetOf(this.#memory, this.#next) >>> 2) + 1] >>> 0;
        if (!this.#isStillThere()) continue;
        if (this.#length > maxMessage) throw errors.damaged(KIND.name, 'a message is too long');
        return true;
      }
      if (attempt + 1 === ATTEMPTS && this.#next + 1 === head && this.#head() === head) {
        throw errors.damaged(KIND.name, 'its newest message is not there');
      }
    }
    return false;
  }

  // Overtaken: goes to a message that is not about to go away too; the more often, the newer.
  #skip(head) {
    const { slots } = this.#memory;
    const keep = this.#overtaken++ < 3 ? Math.min(slots - (slots >> 2), slots - 1) : 1;
    const next = Math.max(head - keep, this.#next);
    this.#missed += next - this.#next;
    this.#next = next;
  }

  // Undefined where it was overwritten while it was read.
  #finish(message) {
    if (!this.#isStillThere()) return undefined;
    const received = { number: this.#next, missed: this.#missed, message };
    this.#missed = 0;
    this.#overtaken = 0;
    this.#next++;
    return received;
  }

  #start() {
    return offsetOf(this.#memory, this.#next) + MESSAGE;
  }

  tryReceive() {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (!this.#find()) return null;
      const { words, bytes } = this.#memory;
      const received = this.#finish(copyOut(words, bytes, this.#start(), this.#length));
      if (received !== undefined) return received;
    }
    return null;
  }

  /** As `tryReceive`; `message` is the part of `target` that was written. */
  tryReceiveInto(target) {
    checkTarget(target);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (!this.#find()) return null;
      const { words, bytes } = this.#memory;
      this.#into.copy(words, bytes, this.#start(), this.#length, target);
      const received = this.#finish(target.length === this.#length ? target : target.subarray(0, this.#length));
      if (received !== undefined) return received;
    }
    return null;
  }

  /** The next message in place. What was read of it counts only if `finish()` gives it. */
  tryPeek() {
    if (!this.#find()) return null;
    const { bytes } = this.#memory;
    const start = this.#start();
    const view = bytes.subarray(start, start + this.#length);
    const number = this.#next;
    return {
      view,
      finish: () => {
        this.#memory.at.check();
        if (this.#next !== number) throw errors.notHeld();
        const received = this.#finish(view);
        this.#memory.at.check();
        return received ?? null;
      },
    };
  }

  #isNew() {
    return load(this.#words, HEAD_LOW) >>> 0 !== this.#next % HALF;
  }

  #step() {
    const received = this.tryReceive();
    if (received !== null) return received;
    prepareEvent(this.#memory.at, READERS_EVENT, () => this.#isNew());
    return undefined;
  }

  receive(timeout) {
    const limit = waits.checkTimeout(timeout);
    const received = this.tryReceive();
    if (received !== null) return received;
    if (spin(() => this.#isNew())) {
      const soon = this.tryReceive();
      if (soon !== null) return soon;
    }
    if (!this.#memory.at.readOnly) return this.#memory.at.drive(() => this.#step(), limit) ?? null;
    const deadline = now() + limit;
    for (;;) {
      const polled = this.tryReceive();
      if (polled !== null) return polled;
      const left = deadline - now();
      if (left <= 0) return null;
      Atomics.wait(nap(), 0, 0, Math.min(left, 1));
    }
  }

  async receiveAsync(options) {
    const checked = waits.checkOptions(options);
    throwIfAborted(checked.signal);
    const { at } = this.#memory;
    if (!at.readOnly) return (await at.driveAsync(() => this.#step(), checked)) ?? null;
    const deadline = now() + checked.timeout;
    for (;;) {
      const polled = this.tryReceive();
      if (polled !== null) return polled;
      if (now() >= deadline) return null;
      await delay(1, checked);
    }
  }

  messages(options) {
    return new Messages((checked) => this.receiveAsync(checked), waits.checkOptions(options));
  }

  [Symbol.asyncIterator]() {
    return this.messages();
  }

  static {
    const names = ['tryReceive', 'tryReceiveInto', 'tryPeek', 'receive', 'receiveAsync'];
    checked(Reader, (reader) => reader.#memory.at, names);
  }
}

let napping;
const nap = () => (napping ??= new Int32Array(new SharedArrayBuffer(4)));

function delay(ms, { signal, ref }) {
  return new Promise((resolve, reject) => {
    const stop = after(ms, ref, () => {
      if (signal !== undefined) offAbort(signal, abort);
      resolve();
    });
    const abort = () => {
      stop();
      reject(reasonOf(signal));
    };
    if (signal !== undefined) onAbort(signal, abort);
    if (signal?.aborted) abort();
  });
}

module.exports = { Broadcast };
