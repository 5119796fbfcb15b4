'use strict';

const { checkOptions, nameOf, placeOf } = require('./arguments.js');
const { checkChain, held, holding } = require('./chains.js');
const errors = require('./errors.js');
const native = require('./native.js');
const { own } = require('./objects.js');
const { block } = require('./operations.js');
const { pending } = require('./pending.js');

// The answer of the addon: the work is done, or bits that say that it is our turn.
const DONE = 0;
const OWNER_DIED = 2;
// Time was up.
const OVER = -1;

class Once {
  #handle;
  #key;

  static byteLength() {
    return native.ONCE_BYTES;
  }

  constructor(view, index) {
    const place = placeOf(view, index);
    this.#handle = own(this, native.openOnce(...place));
    this.#key = nameOf(place);
  }

  get done() {
    return native.isDone(this.#handle);
  }

  call(work) {
    if (this.done) return;
    const turn = block(native.takeTurn(this.#handle));
    if (turn === DONE) return;
    let done = false;
    try {
      const result = work({ ownerDied: (turn & OWNER_DIED) !== 0 });
      if (typeof result?.then === 'function') throw errors.wrongValue('work', work, 'returned a promise: use callAsync');
      done = true;
    } finally {
      native.endTurn(this.#handle, done);
    }
  }

  async callAsync(work, options) {
    const checked = checkOptions(options);
    if (this.done) return;
    checkChain(checked, () => held(this.#key) > 0);
    const begin = () => native.takingTurns(this.#handle);
    const turn = await pending({ none: OVER, begin, use: (got) => got }, checked);
    if (turn === DONE) return;
    if (turn === OVER) throw errors.timedOut();
    let done = false;
    try {
      await holding(this.#key, () => work({ ownerDied: (turn & OWNER_DIED) !== 0 }));
      done = true;
    } finally {
      native.endTurn(this.#handle, done);
    }
  }
}

module.exports = { Once };
