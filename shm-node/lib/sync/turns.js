'use strict';

/** Asynchronous calls, one after the other in the order in which they came. */
class Turns {
  #last;
  #count = 0;

  get isBusy() {
    return this.#count > 0;
  }

  /** Runs `work` when those before have ended; rejects at once when `signal` aborts. */
  async take(signal, work) {
    const before = this.#last;
    let leave;
    this.#last = new Promise((resolve) => (leave = resolve));
    this.#count++;
    try {
      if (before !== undefined) await unlessAborted(before, signal);
      return await work();
    } finally {
      Promise.resolve(before).then(leave);
      if (--this.#count === 0) this.#last = undefined;
    }
  }
}

function unlessAborted(promise, signal) {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}

module.exports = { Turns };
