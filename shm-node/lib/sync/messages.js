'use strict';

// The messages to come, as an asynchronous iterator. A generator would not return while it waits for one.

const { Stop, offAbort, onAbort, reasonOf } = require('./signals.js');

const AsyncIterator = Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}.prototype));

const nothing = () => {};

/** One call of `receive(options)` after the other, until one gives null or fails, or somebody returns. */
class Messages {
  #receive;
  #options;
  #stop = new Stop();
  #isOver = false;
  // How many calls of `next()` are pending, and what the last one gave.
  #pending = 0;
  #last;

  /** @param options Checked. */
  constructor(receive, options) {
    this.#receive = receive;
    this.#options = options;
  }

  next() {
    const next = this.#pending++ === 0 ? this.#step() : this.#last.catch(nothing).then(() => this.#step());
    this.#last = next;
    return next;
  }

  async #step() {
    const { timeout, signal, ref } = this.#options;
    const abort = () => this.#stop.abort(reasonOf(signal));
    try {
      if (!this.#isOver) {
        if (signal !== undefined) onAbort(signal, abort);
        if (signal?.aborted) abort();
        const value = await this.#receive({ timeout, signal: this.#stop, ref });
        // Even where somebody returned meanwhile: what was received is not lost.
        if (value !== null) return { value, done: false };
      }
    } catch (error) {
      const wasOver = this.#isOver || error?.code === 'ERR_SHM_CLOSED';
      this.#end();
      if (!wasOver) throw error;
    } finally {
      this.#pending--;
      if (signal !== undefined) offAbort(signal, abort);
    }
    this.#end();
    return { value: undefined, done: true };
  }

  /** Ends the `next()` that is pending, and those behind it. */
  #end() {
    this.#isOver = true;
    this.#receive = undefined; // whoever keeps an iterator that is over does not keep its channel
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
