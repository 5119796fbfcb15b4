'use strict';

// The messages to come, as an asynchronous iterator. A generator would not return while it waits for one.

const { offAbort, onAbort, reasonOf } = require('./signals.js');
const { Turns } = require('./turns.js');

const AsyncIterator = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}.prototype));

const IN_TURN = { timeout: Infinity, signal: undefined, ref: false };

/** One call of `receive(options)` after the other, until one gives null or fails, or somebody returns. */
class Messages {
  #receive;
  #options;
  #turns = new Turns();
  #stop = new AbortController();
  #isOver = false;

  /** @param options Checked. */
  constructor(receive, options) {
    this.#receive = receive;
    this.#options = options;
  }

  next() {
    return this.#turns.take(IN_TURN, () => this.#step());
  }

  async #step() {
    if (this.#isOver) return { value: undefined, done: true };
    const { timeout, signal, ref } = this.#options;
    const abort = () => this.#stop.abort(reasonOf(signal));
    try {
      if (signal !== undefined) onAbort(signal, abort);
      if (signal?.aborted) abort();
      const value = await this.#receive({ timeout, signal: this.#stop.signal, ref });
      // Even where somebody returned meanwhile: what was received is not lost.
      if (value !== null) return { value, done: false };
    } catch (error) {
      if (!this.#isOver) {
        this.#end();
        throw error;
      }
    } finally {
      if (signal !== undefined) offAbort(signal, abort);
    }
    this.#end();
    return { value: undefined, done: true };
  }

  /** Ends the `next()` that is pending, and those behind it. */
  #end() {
    this.#isOver = true;
    this.#stop.abort();
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
