'use strict';

// The messages to come, as an asynchronous iterator. A generator would not return while it waits for one.

const { give } = require('./loop.js');
const { pending, there } = require('./pending.js');

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

module.exports = { Messages };
