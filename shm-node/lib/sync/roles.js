'use strict';

// What an object is or has in a structure, until it lets go of it, or is forgotten: a channel's only producer and its
// consumer, records that are being written, a party's place. A lock is not let go of so: its guard may well be dropped.

const native = require('../native.js');
const errors = require('./errors.js');

function end(held) {
  try {
    held.end();
  } catch {
    // The segment is detached, or its bytes were overwritten. There is nobody to tell.
  }
}

// One for all copies of this file in a thread, kept by the addon: a copy may be collected together with its objects,
// and then would not hear of them.
const forgotten = (native.forgotten ??= new FinalizationRegistry(end));

/** Has `held.end()` called when `object` was collected; `held` does not lead to it. */
const whenForgotten = (object, held) => forgotten.register(object, held);

/** The roles that an object has by words of its structure, given by their bytes from its start on. */
class Roles {
  #at;
  #words = new Set();

  constructor(object, at) {
    this.#at = at;
    whenForgotten(object, this);
  }

  /** Is the only one who is `name` there. */
  take(word, name) {
    const holder = native.takeRole(this.#at.number, this.#at.start + word, this.#at.live);
    if (holder !== 0) throw errors.taken(name, holder);
    this.#words.add(word);
  }

  /** Has a record, as its header says, for whose end the event's sleepers wait. */
  holdRecord(word, header, event) {
    native.holdRecord(this.#at.number, this.#at.start + word, header, this.#at.start + event);
    this.#words.add(word);
  }

  /** Has committed it. */
  letGoOfRecord(word) {
    this.#words.delete(word);
    native.unholdRecord(this.#at.number, this.#at.start + word);
  }

  /** Ends them all: records are given up, places are free. */
  end() {
    for (const word of this.#words) {
      this.#words.delete(word);
      native.endRole(this.#at.number, this.#at.start + word);
    }
  }
}

module.exports = { Roles, whenForgotten };
