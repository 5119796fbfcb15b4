'use strict';

// A storage adapter for Keyv 5 and 6. It leaves out getMany, setMany, deleteMany and hasMany: Keyv builds them from the
// other methods, and their results differ between its major versions. Keyv 6 converts its absolute times to a `ttl`.

const { clear, keysOf, placeOf } = require('../lib/stores/place.js');

class KeyvSharedMap {
  #place;
  /** Keyv 5 offers an iterator only for dialects on its list; it uses `opts` for nothing else. */
  opts = { dialect: 'redis' };
  /** Keyv 5 sets it, and adds it to the keys only if `useKeyPrefix` is on; Keyv 6 always adds it. */
  namespace = undefined;

  constructor(options) {
    this.#place = placeOf(options, 'keyv:');
  }

  get map() {
    return this.#place.map;
  }

  /** The place of the entries of the namespace. */
  #inside() {
    const { map, prefix } = this.#place;
    return { map, prefix: this.namespace ? `${prefix}${this.namespace}::` : prefix };
  }

  async get(key) {
    const { map, prefix } = this.#inside();
    return map.get(prefix + key);
  }

  async has(key) {
    const { map, prefix } = this.#inside();
    return map.has(prefix + key);
  }

  async set(key, value, ttl) {
    const { map, prefix } = this.#inside();
    // Expired already, and so is what was there before.
    if (ttl < 0) map.delete(prefix + key);
    else map.set(prefix + key, value, { ttl });
    return true;
  }

  async delete(key) {
    const { map, prefix } = this.#inside();
    return map.delete(prefix + key);
  }

  async clear() {
    clear(this.#inside());
  }

  async *iterator() {
    const { map, prefix } = this.#inside();
    for (const key of keysOf({ map, prefix })) {
      const value = map.get(prefix + key);
      if (value !== undefined) yield [key, value];
    }
  }

  /** Closes the map if the store opened it. */
  async disconnect() {
    if (this.#place.isOwn) this.#place.map.close();
  }
}

module.exports = { KeyvSharedMap };
