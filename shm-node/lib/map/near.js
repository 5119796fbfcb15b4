'use strict';

// Parsed values that a map keeps near, each with the version of its record. They are frozen: all get the same object.

class Near {
  #most;
  /** By key: { version, value, isWanted }. The oldest is the first. */
  #entries = new Map();

  constructor(most) {
    this.#most = most;
  }

  /** What is kept of a key, or undefined. It holds only while the record has its version. */
  get(key) {
    return this.#entries.get(key);
  }

  /** Keeps a value, and gives it. */
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

  /** The oldest that was not wanted since its last turn goes; those that were get another turn. */
  #dropOne() {
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key);
      if (!entry.isWanted) return;
      entry.isWanted = false;
      this.#entries.set(key, entry);
    }
  }
}

/** Freezes a value of JSON, and all that is in it. Without recursion: JSON may be deep. */
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
