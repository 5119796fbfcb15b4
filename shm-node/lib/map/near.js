'use strict';

// Parsed values that a map object keeps, each with the version of its record. They are frozen, because all callers get
// the same object.

class Near {
  #most;
  /** By key: { version, value, isWanted }. The oldest is the first. */
  #entries = new Map();

  constructor(most) {
    this.#most = most;
  }

  /** The entry of a key, or undefined. It is valid only while the record has its version. */
  get(key) {
    return this.#entries.get(key);
  }

  /** Keeps a value, and returns it. */
  keep(key, version, value) {
    const entries = this.#entries;
    const known = entries.get(key);
    if (known !== undefined) {
      known.version = version;
      known.value = value;
    } else {
      if (entries.size >= this.#most) this.#dropOne();
      entries.set(key, { version, value, isWanted: false });
    }
    return value;
  }

  forget(key) {
    this.#entries.delete(key);
  }

  clear() {
    this.#entries.clear();
  }

  /** Removes the oldest value that was not wanted since its last turn; a wanted one gets another turn. */
  #dropOne() {
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key);
      if (!entry.isWanted) return;
      entry.isWanted = false;
      this.#entries.set(key, entry);
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
