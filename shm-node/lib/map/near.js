'use strict';

// Parsed values that a map object keeps. Each has a number here, by which the addon notes where its entry is. The
// values are frozen, because all callers get the same object.

/** The most values: a Map of JavaScript's has no room for more keys. */
const MOST = 2 ** 24;

class Near {
  #most;
  /** By key, only while the value and what the addon has noted are of the same version. */
  #numbers = new Map();
  #keys = [];
  /** By number: the value and, behind it, whether it was wanted since its last turn. */
  #values = [];
  #turn = 0;

  constructor(most) {
    this.#most = Math.min(most, MOST);
  }

  /** The number of a key, or undefined. Its value is valid only while the addon says so. */
  numberOf(key) {
    return this.#numbers.get(key);
  }

  /** A value that is wanted. */
  use(number) {
    const values = this.#values;
    values[2 * number + 1] = true;
    return values[2 * number];
  }

  /** Keeps a value, if `note(number)` says that the addon has noted its entry. Returns the value. */
  keep(key, value, note) {
    const number = this.#numbers.get(key) ?? this.#next();
    // If something fails below, nobody gets the value of another entry.
    this.#numbers.delete(key);
    this.#keys[number] = undefined;
    if (!note(number)) return value;
    this.#keys[number] = key;
    this.#values[2 * number] = value;
    this.#values[2 * number + 1] = false;
    this.#numbers.set(key, number);
    return value;
  }

  forget(key) {
    const number = this.#numbers.get(key);
    this.#numbers.delete(key);
    this.#keys[number] = undefined;
    this.#values[2 * number] = undefined;
  }

  clear() {
    this.#numbers.clear();
    this.#keys = [];
    this.#values = [];
  }

  /** The number of a new value, or of the oldest one that was not wanted since its last turn. */
  #next() {
    const [keys, values] = [this.#keys, this.#values];
    if (keys.length < this.#most) return keys.length;
    for (;;) {
      const number = this.#turn;
      this.#turn = (number + 1) % this.#most;
      if (!values[2 * number + 1]) {
        this.#numbers.delete(keys[number]);
        return number;
      }
      values[2 * number + 1] = false;
    }
  }
}

/** Freezes a JSON value and all objects in it. Without recursion, because JSON may be deep. */
function freezeDeeply(value) {
  const left = [value];
  while (left.length > 0) {
    const one = left.pop();
    if (typeof one !== 'object' || one === null) continue;
    Object.freeze(one);
    for (const part of Object.values(one)) left.push(part);
  }
  return value;
}

module.exports = { Near, freezeDeeply };
