'use strict';

// Waiting for messages: for one, or for all that come, as an asynchronous iterator. (It is no generator: `return()` of
// a generator waits for a pending `next()`.)

const { checkOptions } = require('./arguments.js');
const errors = require('./errors.js');
const { give } = require('./loop.js');
const { Line, ask, pending, there } = require('./pending.js');

const AsyncIterator = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}.prototype));

/** One message after the other, until none comes in time, a call fails, or `return()` is called. */
class Messages {
  #way;
  #check;
  #options;
  #isOver = false;

  /**
   * @param way How each message is received.
   * @param check Throws if the iterator must end.
   * @param options Options that have been checked.
   */
  constructor(way, check, options) {
    this.#way = way;
    this.#check = check;
    this.#options = { ...options, calls: new Set() };
  }

  next() {
    if (this.#isOver) return Promise.resolve(this.#end());
    const { signal } = this.#options;
    try {
      this.#check();
      const value = signal?.aborted ? null : there(this.#way);
      if (value !== null) return give({ value, done: false });
    } catch (error) {
      return this.#failed(error);
    }
    const told = (value) => (value === null ? this.#end() : { value, done: false });
    return pending(this.#way, this.#options).then(told, (error) => this.#failed(error));
  }

  async #failed(error) {
    const wasOver = this.#isOver || error?.code === 'ERR_SHM_CLOSED';
    const done = this.#end();
    if (!wasOver) throw error;
    return done;
  }

  /** Ends the pending call, and the iterator. */
  #end() {
    this.#isOver = true;
    this.#way = this.#check = undefined; // an iterator that is over does not keep its channel
    for (const call of this.#options.calls) call.giveUp();
    return { value: undefined, done: true };
  }

  async return(value) {
    this.#end();
    return { value: await value, done: true };
  }

  async throw(error) {
    this.#end();
    throw error;
  }

  static async dispose() {
    this.#end();
  }
}
Object.setPrototypeOf(Messages.prototype, AsyncIterator);
if (Symbol.asyncDispose !== undefined) {
  Object.defineProperty(Messages.prototype, Symbol.asyncDispose, { value: Messages.dispose, configurable: true, writable: true });
}

/** A source of messages, with the line of calls that wait for them. */
class Source {
  line = new Line();
  #begin;
  #one;
  #batch;

  /**
   * @param begin The addon's operation that ends when there is a message; undefined: the calls poll and cannot sleep.
   * @param take Takes a message, if there is one, and otherwise returns null.
   * @param bound For batches with a limit: returns `isMore(count)`, which says whether the batch takes another message.
   */
  constructor(begin, take, bound) {
    this.#begin = begin;
    this.#one = this.taking(take);
    this.#batch = this.taking(() => takeAll(take, bound));
  }

  /** How to wait for a result of `take`: see `ask`. */
  taking(take) {
    const { line } = this;
    // The message may be gone by then: go on with the next.
    const use = () => take() ?? undefined;
    return { none: null, look: take, begin: this.#begin, use, line, spin: line.spin, isPatient: true };
  }

  receive(options) {
    return ask(this.#one, options);
  }

  /** Iterates over all messages to come; `check()` throws when the iterator must end. */
  messages(options, check = () => {}) {
    const checked = checkOptions(options);
    const { batch = false } = options ?? {};
    if (typeof batch !== 'boolean') throw errors.wrongType('batch', 'a boolean', batch);
    return new Messages(batch ? this.#batch : this.#one, check, checked);
  }
}

/** All messages that are there; null if there is none. */
function takeAll(take, bound) {
  const first = take();
  if (first === null) return null;
  const all = [first];
  try {
    const isMore = bound();
    for (let next; isMore(all.length) && (next = take()) !== null; ) all.push(next);
  } catch {
    // The next call throws the error again.
  }
  return all;
}

module.exports = { Source };
