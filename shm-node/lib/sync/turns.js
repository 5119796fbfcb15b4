'use strict';

const { now } = require('./place.js');
const { offAbort, onAbort } = require('./waits.js');

/** Asynchronous calls, one after the other in the order in which they came. */
class Turns {
  #last;
  #count = 0;

  get isBusy() {
    return this.#count > 0;
  }

  /**
   * Runs `work` with what is left of the options' time when those before have ended. Gives undefined when time is up
   * before that; rejects at once when `signal` aborts.
   */
  async take({ timeout, signal, ref }, work) {
    const deadline = now() + timeout;
    const before = this.#last;
    let leave;
    this.#last = new Promise((resolve) => (leave = resolve));
    this.#count++;
    try {
      if (before !== undefined && !(await comes(before, timeout, signal, ref))) return undefined;
      return await work({ timeout: Math.max(0, deadline - now()), signal, ref });
    } finally {
      Promise.resolve(before).then(leave);
      if (--this.#count === 0) this.#last = undefined;
    }
  }
}

const LONGEST = 2 ** 31 - 1;

/** Whether a turn comes before time is up; keeps the loop alive meanwhile if it is to. */
function comes(turn, timeout, signal, ref) {
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      clearTimeout(timer);
      if (signal !== undefined) offAbort(signal, abort);
      settle(value);
    };
    const abort = () => end(reject, signal.reason);
    // Without a limit it is there to keep the loop alive.
    const wait = () => setTimeout(() => (timeout === Infinity ? (timer = wait()) : end(resolve, false)), Math.min(timeout, LONGEST));
    let timer = wait();
    if (!ref) timer.unref();
    if (signal?.aborted) return abort();
    if (signal !== undefined) onAbort(signal, abort);
    turn.then(() => end(resolve, true));
  });
}

module.exports = { Turns };
