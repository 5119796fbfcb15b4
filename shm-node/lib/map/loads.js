'use strict';

// Loading what is not in a map. Who loads, of all processes, is the addon's to say; in this thread, one load serves all
// who ask for its key.

const { checkOptions } = require('../sync/arguments.js');
const { after } = require('../sync/clock.js');
const native = require('../sync/native.js');
const { pending } = require('../sync/pending.js');
const { offAbort, onAbort, reasonOf } = require('../sync/signals.js');
const { putKey } = require('./keys.js');
const { encode } = require('./values.js');

const { OURS, PRESENT, out } = native;
// Further answers: the load's number, or where the word is that one waits on; and what it holds.
const numbers = new Float64Array(out.buffer);
const [NUMBER, EXPECTED] = [1, 1];

/** Milliseconds until one who waits looks whether the loader lives. */
const PATIENCE = 10;

/** Why what was loaded is given, and not stored: it does not fit, or there is no getting at the map. */
const NOT_STORED = ['ERR_OUT_OF_RANGE', 'ERR_SHM_FULL', 'EBUSY', 'ERR_SHM_DETACHED', 'ERR_SHM_SHRUNK'];

/** What a load gave that gave undefined. */
const NOTHING = Object.freeze({ encoding: undefined, value: undefined, isStored: false });

/** What this thread loads for one map object. */
class Loads {
  #handle;
  #attachment;
  #encoding;
  /** By key: { promise, wanted }, how many wait for it. */
  #loading = new Map();

  constructor(handle, attachment, encoding) {
    this.#handle = handle;
    this.#attachment = attachment;
    this.#encoding = encoding;
  }

  /**
   * Loads an entry, or waits for the one who does. Gives what was loaded, `{ encoding, value, isStored }`; undefined
   * where it is time to look again.
   */
  wait(key, load, options) {
    const { signal } = options;
    const loading = this.#loading.get(key) ?? this.#begin(key, load, options, true);
    loading.wanted++;
    return unlessAborted(loading.promise, signal, () => loading.wanted--);
  }

  /** Loads an entry, unless somebody is at it. Nobody hears of it if that fails: the next who asks tries again. */
  reload(key, load, options) {
    if (this.#loading.has(key)) return;
    this.#begin(key, load, options, false).promise.catch(() => {});
  }

  #begin(key, load, options, mayWait) {
    let settle;
    const promise = new Promise((resolve) => (settle = resolve));
    const loading = { promise, wanted: mayWait ? 0 : Infinity };
    const end = () => {
      stop();
      if (this.#loading.get(key) === loading) this.#loading.delete(key);
    };
    // Whoever asks after that begins anew.
    const { loadTimeout } = options;
    const stop = loadTimeout === 0 ? () => {} : after(loadTimeout, false, () => this.#loading.delete(key));
    this.#loading.set(key, loading);
    settle(this.#run(key, load, options, mayWait && loading).finally(end));
    return loading;
  }

  async #run(key, load, options, waiting) {
    const { loadTimeout, tags } = options;
    for (;;) {
      const begun = this.#beginLoad(key, loadTimeout, tags);
      if (begun === PRESENT) return undefined;
      if (begun === OURS) return this.#load(key, load, options, numbers[NUMBER]);
      if (begun === undefined) return { ...(await this.#call(key, load)), isStored: false };
      if (!waiting) return undefined;
      await this.#pause(numbers[NUMBER], out[EXPECTED]);
      if (waiting.wanted === 0) return undefined;
    }
  }

  /** Undefined where the map is so full that not even that somebody loads can be written. */
  #beginLoad(key, loadTimeout, tags) {
    try {
      return native.mapBeginLoad(this.#handle, putKey(key), loadTimeout, tags);
    } catch (error) {
      if (error.code === 'ERR_SHM_FULL') return undefined;
      throw error;
    }
  }

  async #load(key, load, { ttl, tags }, number) {
    let loaded = NOTHING;
    try {
      loaded = await this.#call(key, load);
    } finally {
      if (loaded === NOTHING) this.#abandon(key, number);
    }
    if (loaded === NOTHING) return loaded;
    const { encoding, value } = loaded;
    return { encoding, value, isStored: this.#finish(key, encoding, value, ttl, tags, number) };
  }

  async #call(key, load) {
    const loaded = await load(key);
    if (loaded === undefined) return NOTHING;
    const { encoding, value } = encode(loaded, this.#encoding);
    return { encoding, value };
  }

  #finish(key, encoding, value, ttl, tags, number) {
    try {
      return native.mapFinishLoad(this.#handle, putKey(key), encoding, value, ttl, tags, number);
    } catch (error) {
      if (!NOT_STORED.includes(error.code)) throw error;
      return false;
    }
  }

  #abandon(key, number) {
    try {
      native.mapAbandonLoad(this.#handle, putKey(key), number);
    } catch (error) {
      if (!NOT_STORED.includes(error.code)) throw error;
    }
  }

  /** Sleeps until somebody of the shard has loaded, or it is time to look whether the loader lives. */
  async #pause(offset, expected) {
    if (!native.holds(this.#attachment, offset, expected)) return;
    const begin = () => native.watch(this.#attachment, offset, expected);
    await pending({ none: false, begin, woken: () => true }, checkOptions({ timeout: PATIENCE }));
  }
}

/** What is promised, unless the signal comes first: `leave` is called then. */
function unlessAborted(promise, signal, leave) {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => {
      leave();
      reject(reasonOf(signal));
    };
    const settle = (how) => (what) => {
      offAbort(signal, abort);
      how(what);
    };
    promise.then(settle(resolve), settle(reject));
    onAbort(signal, abort);
    if (signal.aborted) abort();
  });
}

module.exports = { Loads };
