'use strict';

const shrinks = require('../shrinks.js');

const { counter } = shrinks;

/**
 * Finds out whether a part of a segment was cut off, when JavaScript itself writes to it: nobody would see the writes.
 */
class Soundness {
  #number;
  // How many mappings of the process had been cut off when this one was last checked and found whole.
  #seen = 0;

  constructor(number) {
    this.#number = number;
  }

  /** Whether no mapping of the process was cut off since the last check. */
  get isKnown() {
    return counter[0] === this.#seen;
  }

  /** Throws if a part of the segment was cut off. */
  check() {
    if (counter[0] !== this.#seen) this.#look();
  }

  #look() {
    const [count] = counter;
    shrinks.check(this.#number);
    this.#seen = count;
  }
}

module.exports = { Soundness };
