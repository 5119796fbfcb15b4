'use strict';

const { after, now } = require('./clock.js');
const { keepAlive, letGo } = require('./door.js');
const { offAbort, onAbort, reasonOf } = require('./signals.js');

/** Asynchronous calls, one after the other in the order in which they came. */
class Turns {
  // Whose turn it is, and behind it those who wait, each with what tells it that its turn has come.
  #line = new Set();

  get isBusy() {
    return this.#line.size > 0;
  }

  get #first() {
    return this.#line.values().next().value;
  }

  /**
   * Runs `work` with what is left of the options' time when those before have ended. Gives undefined when time is up
   * before that; rejects at once when `signal` aborts.
   */
  async take({ timeout, signal, ref }, work) {
    const deadline = timeout === Infinity ? Infinity : now() + timeout;
    const turn = { come: undefined };
    this.#line.add(turn);
    try {
      if (this.#first !== turn) {
        // Whoever called may have no stack left, and what is begun here must not be cut in two.
        await undefined;
        if (this.#first !== turn && !(await comes(turn, timeout, signal, ref))) return undefined;
      }
      const left = timeout === Infinity ? Infinity : Math.max(0, deadline - now());
      return await work({ timeout: left, signal, ref });
    } finally {
      // Should the caller's stack have no room for more: whoever has not waited had nobody behind it yet.
      this.#line.delete(turn);
      this.#first?.come?.();
    }
  }
}

/** Whether a turn comes before time is up. */
function comes(turn, timeout, signal, ref) {
  return new Promise((resolve, reject) => {
    let stop;
    const end = (settle, value) => {
      turn.come = undefined;
      if (signal !== undefined) offAbort(signal, abort);
      stop?.();
      settle(value);
    };
    const abort = () => end(reject, reasonOf(signal));
    try {
      if (signal !== undefined) onAbort(signal, abort);
      if (signal?.aborted) return abort();
      if (timeout !== Infinity) stop = after(timeout, ref, () => end(resolve, false));
      else if (ref) {
        keepAlive();
        stop = letGo;
      }
      turn.come = () => end(resolve, true);
    } catch (error) {
      end(reject, error);
    }
  });
}

module.exports = { Turns };
