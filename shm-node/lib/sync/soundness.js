'use strict';

const shrinks = require('../shrinks.js');

const { counter } = shrinks;

/** Tells whether a segment was cut off while JavaScript works in it by itself: its writes would reach nobody. */
class Soundness {
  #number;
  // How many mappings of the process had been cut off when this one was last found to be none of them.
  #seen = 0;

  constructor(number) {
    this.#number = number;
  }

  /** Nothing of the process was cut off since it was last looked at. */
  get isKnown() {
    return counter[0] === this.#seen;
  }

  /** Throws if it was cut off. */
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
