'use strict';

const shrinks = require('../shrinks.js');

const { counter } = shrinks;

/** Tells where a segment was cut off under what JavaScript does there by itself: it reaches nobody. */
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

  /** Throws where it was. */
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
