'use strict';

const shrinks = require('../shrinks.js');

const { counter } = shrinks;

/**
 * Finds out whether a part of a segment was cut off, when JavaScript itself writes to it: nobody would see the writes.
 */
class Soundness {
  #number;
  /**
   * How many mappings of the process had been cut off when this one was last checked and found whole. If `counter[0]`
   * is the same, there is nothing to check. To compare the two needs no function, and so no stack.
   */
  seen = 0;

  constructor(number) {
    this.#number = number;
  }

  /** Throws if a part of the segment was cut off. */
  check() {
    if (counter[0] !== this.seen) this.#look();
  }

  #look() {
    const [count] = counter;
    shrinks.check(this.#number);
    this.seen = count;
  }
}

module.exports = { Soundness, counter };
