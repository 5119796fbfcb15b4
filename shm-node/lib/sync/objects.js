'use strict';

// Objects that stand for one of the addon's.

const addon = require('../native.js');
const errors = require('./errors.js');
const { free } = require('./native.js');

// One for all copies of this file in a thread, kept by the addon: a copy may be collected together with its objects,
// and then would not hear of them.
const collected = (addon.collected ??= new FinalizationRegistry(({ free, handle }) => free(handle)));

/** Has the addon release its object, and all that this holds there, when ours is collected; returns the handle. */
function own(object, handle) {
  collected.register(object, { free, handle });
  return handle;
}

/** Gives a class a `Symbol.dispose`, where the runtime has one. */
function disposable(Class, dispose) {
  if (Symbol.dispose === undefined) return;
  Object.defineProperty(Class.prototype, Symbol.dispose, { value: dispose, configurable: true, writable: true });
}

/** Ends a reservation or the like; after a close or a detach nothing is left to end. */
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
