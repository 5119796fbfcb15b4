'use strict';

// A store for express-rate-limit: counts that all processes share, each of which expires with its window.

const { clear, placeOf } = require('../lib/stores/place.js');

class RateLimitStore {
  #place;
  #windowMs;
  /** false: counts are shared between store objects. */
  localKeys = false;

  constructor(options) {
    // A count that is evicted would begin anew.
    this.#place = placeOf(options, 'rl:', { evict: false });
  }

  get map() {
    return this.#place.map;
  }

  get prefix() {
    return this.#place.prefix;
  }

  init({ windowMs }) {
    this.#windowMs = windowMs;
  }

  get(key) {
    const entry = this.map.getEntry(this.prefix + key);
    return entry && infoOf(entry);
  }

  increment(key) {
    return infoOf(this.map.incrementEntry(this.prefix + key, 1, { ttl: this.#windowMs }));
  }

  /** Subtracts one, unless the window is over. An error is a warning: express-rate-limit 7 lets it end the process. */
  decrement(key) {
    try {
      this.#subtract(key);
    } catch (error) {
      const { message, code } = error;
      process.emitWarning(`A request is counted that was to be skipped: ${message}`, { type: 'ShmNodeWarning', code });
    }
  }

  /** `increment` keeps the end of the window. If it has begun another one, or went below 0, it is undone. */
  #subtract(key) {
    const add = (by) => this.map.increment(this.prefix + key, by, { ttl: this.#windowMs });
    if (this.map.get(this.prefix + key) > 0 && add(-1) < 0) add(1);
  }

  resetKey(key) {
    this.map.delete(this.prefix + key);
  }

  resetAll() {
    clear(this.#place);
  }

  /** Closes the map if the store opened it. */
  shutdown() {
    if (this.#place.isOwn) this.map.close();
  }
}

const infoOf = ({ value, expires }) => ({ totalHits: value, resetTime: new Date(expires) });

module.exports = { RateLimitStore };
