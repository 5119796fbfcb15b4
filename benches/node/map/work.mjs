// What is asked of a store: keys of 16 bytes, some far more often than others (zipf 0.99), and a set now and then.

const STEPS = 1 << 18;

/** How many keys there are. */
export const countOf = (size) => (size >= 16384 ? 20_000 : 100_000);

export const keyOf = (index) => `key:${String(index).padStart(12, '0')}`;

/** The same work each time for a seed: `next()` moves on, then `key` is asked for, and set where `isSet`. */
export class Work {
  #step = 0;
  #keys;
  #indexes = new Int32Array(STEPS);
  #sets = new Uint8Array(STEPS);

  constructor(count, seed) {
    // Through a buffer, so that a key is one piece, as one that was read from somewhere.
    this.#keys = Array.from({ length: count }, (_, index) => Buffer.from(keyOf(index)).latin1Slice());
    const random = mulberry32(seed);
    const sums = new Float64Array(count);
    let sum = 0;
    for (let rank = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1) ** 0.99;
    for (let step = 0; step < STEPS; step++) {
      // Ranks are spread, so that neighbours are not equally hot.
      this.#indexes[step] = (firstAtLeast(sums, random() * sum) * 48271) % count;
      this.#sets[step] = random() < 0.05 ? 1 : 0;
    }
    this.#step = Math.floor(random() * STEPS);
  }

  next() {
    this.#step = (this.#step + 1) & (STEPS - 1);
  }

  get key() {
    return this.#keys[this.#indexes[this.#step]];
  }

  get isSet() {
    return this.#sets[this.#step] === 1;
  }

  /** All keys. */
  get keys() {
    return this.#keys;
  }
}

function firstAtLeast(sums, least) {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mulberry32(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
