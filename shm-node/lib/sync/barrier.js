'use strict';

const { checkOptions, checkTimeout, holders, placeOf } = require('./arguments.js');
const errors = require('./errors.js');
const native = require('./native.js');
const { disposable, own } = require('./objects.js');
const { block } = require('./operations.js');
const { pending } = require('./pending.js');

class Barrier {
  #handle;
  #parties;

  static byteLength(options) {
    return native.barrierLength(holders('parties', { parties: options.parties }, native.MOST_PARTIES));
  }

  constructor(view, index, options) {
    const [number, offset, room] = placeOf(view, index);
    const wanted = holders('parties', options, native.MOST_PARTIES);
    const [handle, parties] = native.openBarrier(number, offset, room, wanted);
    this.#handle = own(this, handle);
    this.#parties = parties;
  }

  get parties() {
    return this.#parties;
  }

  join() {
    const handle = native.join(this.#handle);
    try {
      return new Party(handle);
    } catch (error) {
      native.free(handle); // there is no stack to make the party
      throw error;
    }
  }
}

/** Whether the party was the last; null if its time was up. */
const metBy = (got) => (got < 0 ? null : got !== 0);

/** One party of a barrier. */
class Party {
  #handle;
  #joined = true;

  constructor(handle) {
    this.#handle = own(this, handle);
  }

  #check() {
    if (!this.#joined) throw errors.notHeld();
    return this.#handle;
  }

  wait(timeout) {
    const limit = checkTimeout(timeout);
    return metBy(block(native.meet(this.#check(), limit)));
  }

  async waitAsync(options) {
    const checked = checkOptions(options);
    return pending({ none: null, begin: () => native.meeting(this.#check()), use: metBy }, checked);
  }

  leave() {
    const handle = this.#check();
    native.leaveBarrier(handle);
    this.#joined = false;
  }

  static dispose() {
    if (this.#joined) this.leave();
  }
}
disposable(Party, Party.dispose);

module.exports = { Barrier };
