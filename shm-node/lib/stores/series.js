'use strict';

// The numbers of metrics in a map. A series is what a metric counts for one set of labels: several numbers that change
// together. It is shared by all processes, or of one owner alone and gone with it. Labels are given as JSON, of the same
// text where they are the same. Beside its series a metric has an entry that says what it is.

const { isAlive, ownerOf } = require('../map/shared-map.js');
const errors = require('../sync/errors.js');
const { keysOf } = require('./place.js');

// What a series writes has no end, whatever the map's own default says.
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

  /** Says what a metric is, or throws where another process has said otherwise. */
  define(name, what) {
    const { map, prefix } = this.#place;
    const text = JSON.stringify(what);
    if (map.add(prefix + name, text, FOR_EVER)) return;
    const other = map.get(prefix + name);
    if (other === text) return;
    const message = `the metric ${name} is ${other} in the map, not ${text}: give each version of the program its own map`;
    throw errors.ours('ERR_SHM_OPTIONS', message);
  }

  /** Adds numbers to a series; one that there is not is all 0. */
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

  /** Sets a series of this owner's. */
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

  /** Those of a metric that are shared: `[labels, numbers]`. */
  shared(name) {
    return this.#read(this.#all(name).filter(({ owner }) => owner === undefined));
  }

  /** Those of a metric that are each owner's who lives, in the order in which these came. What the dead had goes. */
  ofTheLiving(name) {
    const { map } = this.#place;
    const byOwner = new Map();
    for (const series of this.#all(name)) {
      if (series.owner === undefined) continue;
      if (!isAlive(map, series.owner)) map.delete(series.key);
      else if (byOwner.has(series.owner)) byOwner.get(series.owner).push(series);
      else byOwner.set(series.owner, [series]);
    }
    const owners = [...byOwner.keys()].sort((a, b) => a - b);
    return owners.map((owner) => this.#read(byOwner.get(owner)));
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

  /** What series a metric has. The map is looked through once a turn of the event loop, however many metrics ask. */
  #all(name) {
    if (this.#found === undefined) {
      const found = (this.#found = new Map());
      for (const key of [...keysOf(this.#place)].sort()) {
        const [, metric, owner, labels] = KEY.exec(key) ?? [];
        if (metric === undefined) continue; // what a metric is
        if (!found.has(metric)) found.set(metric, []);
        const whose = owner === undefined ? undefined : Number(owner);
        found.get(metric).push({ key: this.#place.prefix + key, owner: whose, labels: JSON.parse(labels) });
      }
      setImmediate(() => {
        if (this.#found === found) this.#found = undefined;
      }).unref();
    }
    return this.#found.get(name) ?? [];
  }
}

/** How numbers lie in the map: one as it is, several as the bytes of an array. */
const valueOf = (numbers) => (numbers.length === 1 ? numbers[0] : new Uint8Array(Float64Array.from(numbers).buffer));
const numbersOf = (value) =>
  typeof value === 'number' ? [value] : Array.from(new Float64Array(new Uint8Array(value).buffer));

module.exports = { Series };
