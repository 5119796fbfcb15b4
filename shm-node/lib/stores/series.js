'use strict';

// The numbers of metrics in a map. A series has the numbers of a metric for one set of labels, which change together.
// All processes share it, or it belongs to one owner and goes with it. Labels are JSON, and equal labels have the same
// text. Besides its series, a metric has an entry with its type.

const { isAlive, ownerOf } = require('../map/shared-map.js');
const errors = require('../sync/errors.js');
const { keysOf } = require('./place.js');

// The entries of series never expire, whatever the `ttl` of the map object is.
const FOR_EVER = Object.freeze({ ttl: Infinity });

const KEY = /^([^{#]*)(?:#(\d+))?(\{.*)$/s;

class Series {
  #place;
  #owner;
  #found;

  constructor(place) {
    this.#place = place;
    this.#owner = ownerOf(place.map);
  }

  /** Writes the type of a metric; throws if another process has written another one. */
  define(name, what) {
    const { map, prefix } = this.#place;
    const text = JSON.stringify(what);
    if (map.add(prefix + name, text, FOR_EVER)) return;
    const other = map.get(prefix + name);
    if (other === text) return;
    const message = `the metric ${name} is ${other} in the map, not ${text}: give each version of the program its own map`;
    throw errors.ours('ERR_SHM_OPTIONS', message);
  }

  /** Adds numbers to a series. A missing series counts as all 0. */
  add(name, labels, terms, isOurs = false) {
    const { map } = this.#place;
    const key = this.#keyOf(name, labels, isOurs);
    for (;;) {
      const entry = map.getEntry(key);
      if (entry === undefined) {
        if (!map.add(key, valueOf(terms), FOR_EVER)) continue;
        this.#found = undefined;
        return;
      }
      const sums = numbersOf(entry.value).map((number, i) => number + terms[i]);
      if (map.replace(key, entry.version, valueOf(sums), FOR_EVER)) return;
    }
  }

  /** Sets a series of this owner. */
  set(name, labels, numbers) {
    this.#place.map.set(this.#keyOf(name, labels, true), valueOf(numbers), FOR_EVER);
    this.#found = undefined;
  }

  delete(name, labels, isOurs = false) {
    this.#place.map.delete(this.#keyOf(name, labels, isOurs));
    this.#found = undefined;
  }

  /** Removes all series of a metric: those that are shared, or those of this owner. */
  clear(name, isOurs = false) {
    const owner = isOurs ? this.#owner : undefined;
    for (const series of this.#all(name)) if (series.owner === owner) this.#place.map.delete(series.key);
    this.#found = undefined;
  }

  /** The shared series of a metric: `[labels, numbers]`. */
  shared(name) {
    return this.#read(this.#all(name).filter(({ owner }) => owner === undefined));
  }

  /**
   * The series of a metric of each living owner, in the order in which the owners came. Those of dead owners are
   * removed.
   */
  ofTheLiving(name) {
    const { map } = this.#place;
    const byOwner = new Map();
    const dead = [];
    for (const series of this.#all(name)) {
      if (series.owner === undefined) continue;
      if (!isAlive(map, series.owner)) dead.push(series.key);
      else if (byOwner.has(series.owner)) byOwner.get(series.owner).push(series);
      else byOwner.set(series.owner, [series]);
    }
    this.#remove(dead);
    const owners = [...byOwner.keys()].sort((a, b) => a - b);
    return owners.map((owner) => this.#read(byOwner.get(owner)));
  }

  #remove(keys) {
    try {
      for (const key of keys) this.#place.map.delete(key);
    } catch (error) {
      if (error.code !== 'EBUSY') throw error;
      // The next call removes the rest.
    }
  }

  #read(all) {
    return all.flatMap(({ key, labels }) => {
      const value = this.#place.map.get(key);
      return value === undefined ? [] : [[labels, numbersOf(value)]];
    });
  }

  #keyOf(name, labels, isOurs) {
    const { prefix } = this.#place;
    return `${prefix}${name}${isOurs ? `#${this.#owner}` : ''}${labels}`;
  }

  /** The series of a metric. The map is searched once in a turn of the event loop, however many metrics ask. */
  #all(name) {
    if (this.#found === undefined) {
      const found = new Map();
      for (const key of [...keysOf(this.#place)].sort()) {
        const [, metric, owner, labels] = KEY.exec(key) ?? [];
        if (metric === undefined) continue; // the type of a metric
        if (!found.has(metric)) found.set(metric, []);
        const whose = owner === undefined ? undefined : Number(owner);
        found.get(metric).push({ key: this.#place.prefix + key, owner: whose, labels: JSON.parse(labels) });
      }
      // Only now: what was found before an error is not all.
      this.#found = found;
      setImmediate(() => {
        if (this.#found === found) this.#found = undefined;
      }).unref();
    }
    return this.#found.get(name) ?? [];
  }
}

/** The form of numbers in the map: one as it is, several as the bytes of an array. */
const valueOf = (numbers) => (numbers.length === 1 ? numbers[0] : new Uint8Array(Float64Array.from(numbers).buffer));
const numbersOf = (value) =>
  typeof value === 'number' ? [value] : Array.from(new Float64Array(new Uint8Array(value).buffer));

module.exports = { Series };
