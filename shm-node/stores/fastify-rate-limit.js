'use strict';

// A store for @fastify/rate-limit: counts that all processes share, each of which expires with its window.

const { placeOf } = require('../lib/stores/place.js');

/** The class of which the plugin makes stores: one for all routes, and one for each route with its own options. */
function rateLimitStore(options) {
  // A count that is evicted would begin anew.
  const { map, prefix } = placeOf(options, 'rl:', { evict: false });
  class RateLimitStore {
    static map = map;
    #prefix;
    #continues;
    #backsOff;

    constructor({ continueExceeding, exponentialBackoff }, prefixOfRoute = prefix) {
      this.#prefix = prefixOfRoute;
      this.#continues = continueExceeding;
      this.#backsOff = exponentialBackoff;
    }

    incr(key, callback, timeWindow, max) {
      answer(callback, () => this.#increment(this.#prefix + key, timeWindow, max));
    }

    /** The count, without counting. */
    read(key, callback) {
      answer(callback, () => {
        const entry = map.getEntry(this.#prefix + key);
        return entry === undefined ? { current: 0, ttl: 0 } : { current: entry.value, ttl: leftOf(entry) };
      });
    }

    child(route) {
      const { method, url } = route.routeInfo;
      return new RateLimitStore(route, `${this.#prefix}${method ?? ''}${url ?? ''}-`);
    }

    #increment(key, timeWindow, max) {
      // Each request has its own window.
      if (timeWindow === 0) return { current: 1, ttl: 0 };
      const entry = map.incrementEntry(key, 1, { ttl: timeWindow });
      const current = entry.value;
      const ttl = current > max ? this.#longer(timeWindow, current - max) : undefined;
      if (ttl !== undefined) map.touch(key, ttl);
      return { current, ttl: ttl ?? leftOf(entry) };
    }

    /** How long a client over the limit has to wait from now on, if not until the end of the window. */
    #longer(timeWindow, over) {
      if (this.#continues) return timeWindow;
      return this.#backsOff ? Math.min(timeWindow * 2 ** (over - 1), Number.MAX_SAFE_INTEGER) : undefined;
    }
  }
  return RateLimitStore;
}

const leftOf = ({ expires }) => Math.max(0, expires - Date.now());

function answer(callback, get) {
  let result;
  try {
    result = get();
  } catch (error) {
    return callback(error);
  }
  callback(null, result);
}

module.exports = { rateLimitStore };
