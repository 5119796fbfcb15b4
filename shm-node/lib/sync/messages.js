'use strict';

// Messages that may have to be waited for: one, or all that come, as an asynchronous iterator. A generator would not
// return while it waits for one.

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
   * @param way How each is received.
   * @param check Throws if the iterator must end.
   * @param options Checked.
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

/** Where messages come from: those who wait for them, in a line. */
class Source {
  line = new Line();
  #begin;
  #one;
  #batch;

  /**
   * @param begin The addon's operation that ends when there is a message; undefined: none can sleep until then.
   * @param take Takes a message, if there is one, else null.
   * @param bound Of a batch that has one: gives `isMore(count)`, whether it takes another one.
   */
  constructor(begin, take, bound) {
    this.#begin = begin;
    this.#one = this.taking(take);
    this.#batch = this.taking(() => takeAll(take, bound));
  }

  /** How to wait for what `take` gives: see `ask`. */
  taking(take) {
    const { line } = this;
    // A message may be gone by then: one goes on with the next.
    const use = () => take() ?? undefined;
    return { none: null, look: take, begin: this.#begin, use, line, spin: line.spin, isPatient: true };
  }

  receive(options) {
    return ask(this.#one, options);
  }

  /** All that come; `check()` throws when they must end. */
  messages(options, check = () => {}) {
    const checked = checkOptions(options);
    const { batch = false } = options ?? {};
    if (typeof batch !== 'boolean') throw errors.wrongType('batch', 'a boolean', batch);
    return new Messages(batch ? this.#batch : this.#one, check, checked);
  }
}

/** All messages that are there; null where there is none. */
function takeAll(take, bound) {
  const first = take();
  if (first === null) return null;
  const all = [first];
  const isMore = bound();
  try {
    for (let next; isMore(all.length) && (next = take()) !== null; ) all.push(next);
  } catch {
    // The next call says it again.
  }
  return all;
}

module.exports = { Source };
