'use strict';

// JavaScript objects that stand for an object of the addon.

const addon = require('../native.js');
const errors = require('./errors.js');
const { free } = require('./native.js');

// One registry for all copies of this file in a thread. The addon keeps it, because a copy may be collected together
// with its objects, and would then not be called back.
const collected = (addon.collected ??= new FinalizationRegistry(({ free, handle }) => free(handle)));

/** Lets the addon release its object, and all that the object holds, when `object` is collected; returns the handle. */
function own(object, handle) {
  collected.register(object, { free, handle });
  return handle;
}

/** Gives a class a method `Symbol.dispose`, if the runtime has that symbol. */
function disposable(Class, dispose) {
  if (Symbol.dispose === undefined) return;
  Object.defineProperty(Class.prototype, Symbol.dispose, { value: dispose, configurable: true, writable: true });
}

/** Ends a reservation, or something similar. After a close or a detach, there is nothing to end. */
function unlessGivenUp(end) {
  try {
    end();
  } catch (error) {
    if (!['ERR_SHM_CLOSED', 'ERR_SHM_DETACHED', 'ERR_SHM_SHRUNK'].includes(error.code)) throw error;
  }
}

/** A message that is being written, until it is committed. */
class Draft {
  #end;

  /** @param end Ends it: `end(commits)`. */
  constructor(view, end) {
    this.view = view;
    this.#end = end;
  }

  /** Sends it. */
  commit() {
    return this.#finish(true);
  }

  /** Sends nothing. */
  abandon() {
    this.#finish(false);
  }

  #finish(commits) {
    const end = this.#end;
    if (end === undefined) throw errors.notHeld();
    this.#end = undefined;
    return end(commits);
  }

  static dispose() {
    if (this.#end !== undefined) unlessGivenUp(() => this.abandon());
  }
}
disposable(Draft, Draft.dispose);

module.exports = { Draft, disposable, own, unlessGivenUp };
