'use strict';

// A storage adapter of Keyv's, 5 and 6. What it leaves out (getMany, setMany, deleteMany, hasMany), Keyv makes of what
// is here, and each major version has another answer for. Keyv 6 turns its absolute times into a `ttl`.

const { clear, keysOf, placeOf } = require('../lib/stores/place.js');

class KeyvSharedMap {
  #place;
  /** Keyv 5 gives an iterator only to dialects that are on its list, and asks for nothing else of them. */
  opts = { dialect: 'redis' };
  /** Keyv 5 tells it, and puts it before the keys only if `useKeyPrefix` is on; Keyv 6 puts it there. */
  namespace = undefined;

  constructor(options) {
    this.#place = placeOf(options, 'keyv:');
  }

  get map() {
    return this.#place.map;
  }

  /** Where the entries of the namespace are. */
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
    map.set(prefix + key, value, { ttl });
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

  /** Closes a map of its own. */
  async disconnect() {
    if (this.#place.isOwn) this.#place.map.close();
  }
}

module.exports = { KeyvSharedMap };
