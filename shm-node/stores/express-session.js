'use strict';

// A store for express-session: sessions that all processes share. They are stored as JSON, and end with their cookies.

const { Store } = require('express-session');
const { ttlOf } = require('../lib/map/options.js');
const { clear, keysOf, placeOf } = require('../lib/stores/place.js');

const DAY = 86_400_000;

class SessionStore extends Store {
  #place;
  #ttl;

  constructor(options) {
    super();
    const { ttl = DAY, ...place } = options ?? {};
    ttlOf('ttl', ttl);
    this.#place = placeOf(place, 'sess:');
    this.#ttl = ttl;
  }

  get map() {
    return this.#place.map;
  }

  get prefix() {
    return this.#place.prefix;
  }

  get(sid, callback) {
    answer(callback, () => this.#get(sid));
  }

  #get(sid) {
    const text = this.map.get(this.prefix + sid);
    return text === undefined ? undefined : JSON.parse(text);
  }

  set(sid, session, callback) {
    answer(callback, () => {
      const ttl = this.#leftOf(session);
      if (ttl > 0) this.map.set(this.prefix + sid, JSON.stringify(session), { ttl });
      else this.map.delete(this.prefix + sid);
    });
  }

  destroy(sid, callback) {
    answer(callback, () => void this.map.delete(this.prefix + sid));
  }

  touch(sid, session, callback) {
    answer(callback, () => {
      const ttl = this.#leftOf(session);
      if (ttl > 0) this.map.touch(this.prefix + sid, ttl);
      else this.map.delete(this.prefix + sid);
    });
  }

  /** After how many milliseconds a session ends. */
  #leftOf({ cookie: { expires } }) {
    return expires ? new Date(expires) - Date.now() : this.#ttl;
  }

  all(callback) {
    answer(callback, () => {
      const all = Array.from(keysOf(this.#place), (sid) => [sid, this.#get(sid)]);
      return Object.fromEntries(all.filter(([, session]) => session !== undefined));
    });
  }

  length(callback) {
    answer(callback, () => Array.from(keysOf(this.#place)).length);
  }

  clear(callback) {
    answer(callback, () => clear(this.#place));
  }
}

/** Calls back with the result in a later turn. Without a callback, an error is thrown. */
function answer(callback, get) {
  if (callback === undefined) return void get();
  let error = null;
  let result;
  try {
    result = get();
  } catch (thrown) {
    error = thrown;
  }
  process.nextTick(callback, error, result);
}

module.exports = { SessionStore };
