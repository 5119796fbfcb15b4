'use strict';

// Loading missing entries of a map. The addon decides which process loads. In this thread, one load serves all callers
// that ask for its key.

const { checkOptions } = require('../sync/arguments.js');
const { after } = require('../sync/clock.js');
const native = require('../sync/native.js');
const { pending } = require('../sync/pending.js');
const { offAbort, onAbort, reasonOf } = require('../sync/signals.js');
const { putKey } = require('./keys.js');
const { encode } = require('./values.js');

const { OURS, PRESENT, out } = native;
// Further answers: the load's number, or the place and the value of the word to wait on.
const numbers = new Float64Array(out.buffer);
const [NUMBER, EXPECTED] = [1, 1];

/** After how many milliseconds a waiter checks whether the loader lives. */
const PATIENCE = 10;

/** How many milliseconds after an EBUSY a load is given up again. Each time may block the thread for `lockTimeout`. */
const LATER = 1000;

/** Errors with which a loaded value is returned, but not stored: it does not fit, or the map cannot be used. */
const NOT_STORED = ['ERR_OUT_OF_RANGE', 'ERR_SHM_FULL', 'EBUSY', 'ERR_SHM_DETACHED', 'ERR_SHM_SHRUNK'];

/** The result of a load that returned undefined. */
const NOTHING = Object.freeze({ encoding: undefined, value: undefined, isStored: false });

/** The loads of this thread for one map object. */
class Loads {
  /** As long as something is being loaded, the map must not be collected: its handle would be another object's. */
  #map;
  #handle;
  #attachment;
  #encoding;
  /** By key: { promise, wanted, number }, how many wait for it, and the load's number while `load` runs. */
  #loading = new Map();

  constructor(map, handle, attachment, encoding) {
    this.#map = map;
    this.#handle = handle;
    this.#attachment = attachment;
    this.#encoding = encoding;
  }

  /**
   * Loads an entry, or waits for the process that does. Returns what was loaded, `{ encoding, value, isStored }`, or
   * undefined if it is time to look again.
   */
  wait(key, load, options) {
    const { signal } = options;
    const loading = this.#loadingOf(key) ?? this.#begin(key, load, options, true);
    loading.wanted++;
    return unlessAborted(loading.promise, signal, () => loading.wanted--);
  }

  /** Loads an entry, unless another caller loads it. An error is not reported: the next call tries again. */
  reload(key, load, options) {
    if (this.#loadingOf(key) !== undefined) return;
    this.#begin(key, load, options, false).promise.catch(() => {});
  }

  /** What loads a key, unless the entry has changed since: then its result may be older than the change. */
  #loadingOf(key) {
    const loading = this.#loading.get(key);
    const number = loading?.number;
    return number === undefined || native.mapIsLoading(this.#handle, number) ? loading : undefined;
  }

  #begin(key, load, options, mayWait) {
    let settle;
    const promise = new Promise((resolve) => (settle = resolve));
    const loading = { promise, wanted: mayWait ? 0 : Infinity };
    const forget = () => this.#forget(key, loading);
    const end = () => {
      stop();
      forget();
    };
    // A call after that begins anew.
    const { loadTimeout } = options;
    const stop = loadTimeout === 0 ? () => {} : after(loadTimeout, false, forget);
    this.#loading.set(key, loading);
    settle(this.#run(key, load, options, mayWait, loading).finally(end));
    return loading;
  }

  #forget(key, loading) {
    if (this.#loading.get(key) === loading) this.#loading.delete(key);
  }

  async #run(key, load, options, mayWait, loading) {
    const { loadTimeout, tags } = options;
    for (;;) {
      const begun = this.#beginLoad(key, loadTimeout, tags);
      if (begun === PRESENT) return undefined;
      if (begun === OURS) return this.#load(key, load, options, loading, numbers[NUMBER]);
      if (begun === undefined) return { ...(await this.#call(key, load)), isStored: false };
      if (!mayWait) return undefined;
      await this.#pause(numbers[NUMBER], out[EXPECTED]);
      if (loading.wanted === 0) return undefined;
    }
  }

  /** Undefined if the map is so full that not even the record of a load fits. */
  #beginLoad(key, loadTimeout, tags) {
    try {
      return native.mapBeginLoad(this.#handle, putKey(key), loadTimeout, tags);
    } catch (error) {
      if (error.code === 'ERR_SHM_FULL') return undefined;
      throw error;
    }
  }

  async #load(key, load, { ttl, tags }, loading, number) {
    let loaded = NOTHING;
    loading.number = number;
    try {
      loaded = await this.#call(key, load);
    } finally {
      // The number ends below. Who comes now looks for the entry.
      this.#forget(key, loading);
      if (loaded === NOTHING) this.#abandon(number);
    }
    if (loaded === NOTHING) return loaded;
    const { encoding, value } = loaded;
    return { encoding, value, isStored: this.#finish(number, encoding, value, ttl, tags) };
  }

  async #call(key, load) {
    const loaded = await load(key);
    if (loaded === undefined) return NOTHING;
    const { encoding, value } = encode(loaded, this.#encoding);
    return { encoding, value };
  }

  #finish(number, encoding, value, ttl, tags) {
    try {
      return native.mapFinishLoad(this.#handle, number, encoding, value, ttl, tags);
    } catch (error) {
      this.#abandon(number);
      if (!NOT_STORED.includes(error.code)) throw error;
      return false;
    }
  }

  /** Lets another caller load. While another writer holds the shard, it tries again, so that nobody waits for nothing. */
  #abandon(number) {
    try {
      native.mapAbandonLoad(this.#handle, number);
    } catch (error) {
      if (!NOT_STORED.includes(error.code)) throw error;
      if (error.code === 'EBUSY') after(LATER, false, () => this.#abandon(number));
    }
  }

  /** Sleeps until a load in this shard has ended, or it is time to check whether the loader lives. */
  async #pause(offset, expected) {
    const begin = () => native.watch(this.#attachment, offset, expected);
    await pending({ none: false, begin, woken: () => true }, checkOptions({ timeout: PATIENCE }));
  }
}

/** The result of a promise, unless the signal aborts first: then `leave` is called. */
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
