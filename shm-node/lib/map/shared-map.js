'use strict';

// The class. The addon (src/map) does the work; this file has arguments, values and errors.

const addon = require('../native.js');
const { prepare } = require('../endings.js');
const shrinks = require('../shrinks.js');
const { flags, integer } = require('../arguments.js');
const { checkTarget } = require('../sync/bytes.js');
const errors = require('../sync/errors.js');
const native = require('../sync/native.js');
const { disposable, own } = require('../sync/objects.js');
const { throwIfAborted } = require('../sync/signals.js');
const { putKey, takeKey } = require('./keys.js');
const { Loads } = require('./loads.js');
const { Near, freezeDeeply } = require('./near.js');
const { entryOptions, loadOptions, mapOptions, objectOf, tagsOf, ttlOf } = require('./options.js');
const { POOLED, place, pool, room } = require('./pool.js');
const { copyOf, decode, encode, knowsV8 } = require('./values.js');

const { ABSENT, ALWAYS, JSON: AS_JSON, LONG, NONE, SAME, VERSION, out } = native;
// Of a call on an entry: how it is encoded, and the length of its key; its version, or where an iteration goes on; when
// it expires.
const [KIND, KEY_LENGTH] = [0, 1];
const numbers = new Float64Array(out.buffer);
const [NUMBER, EXPIRES] = [1, 2];

const STATS = ['entries', 'memory', 'used', 'sets', 'evictions', 'expired', 'hits', 'misses', 'ownersDied'];

/** The bits of a mode that let others write. */
const OTHERS_WRITE = 0o022;
/** How often `view` tries to show a value in place before it shows a copy. */
const VIEWS = 3;

/** For stores: this thread's id among those that have a map open, and whether the one of an id lives. */
let ownerOf;
let isAlive;

class SharedMap {
  #handle;
  #number;
  #key;
  #memory;
  #ttl;
  #encoding;
  #canClone;
  #near;
  #loads;
  #bytes;

  static {
    ownerOf = (map) => native.mapOwner(map.#handle);
    isAlive = (map, owner) => native.mapIsAlive(map.#handle, owner);
  }

  static memoryFor({ entries, key, value, shards }) {
    const most = 2 ** 32 - 1;
    return native.mapMemoryFor(
      integer('entries', entries, 1, most),
      integer('key', key, 0, native.MAX_KEY),
      integer('value', value, 0, most),
      shards === undefined ? 0 : integer('shards', shards, 1, native.MAX_SHARDS),
    );
  }

  constructor(key, options) {
    const opening = mapOptions(key, options);
    const { backend, flags, mode, lockTimeout, made, ttl, encoding, near } = opening;
    prepare();
    const [handle, number, memory, found, isOfOther] = native.openMap(backend, opening.key, flags, mode, lockTimeout, ...made);
    own(this, handle);
    this.#handle = handle;
    this.#number = number;
    this.#memory = memory;
    this.#key = native.mapKey(number);
    this.#ttl = ttl;
    this.#encoding = encoding;
    this.#canClone = (found & OTHERS_WRITE) === 0 && isOfOther === 0 && knowsV8();
    this.#near = near > 0 ? new Near(near) : undefined;
    this.#loads = new Loads(this, handle, number, encoding);
    if (encoding === 'v8' && !this.#canClone) {
      this.close();
      throw noClones(found, isOfOther === 1);
    }
    shrinks.watch(backend);
  }

  get key() {
    return this.#key;
  }

  get size() {
    return native.mapLength(this.#handle);
  }

  get memory() {
    return this.#memory;
  }

  get(key) {
    if (this.#near !== undefined) return this.#getNear(key);
    const length = putKey(key);
    const target = pool();
    return this.#value(native.mapGet(this.#handle, length, place()), length, target);
  }

  /** The addon's answer, as a value; the key is still in its buffer. */
  #value(given, length, target) {
    const kind = out[KIND];
    if (kind === NONE) return undefined;
    if (kind === LONG) return this.#getLong(given, length);
    return decode(kind, given, target, true, this.#canClone);
  }

  #getLong(given, length) {
    return this.#read(given, (target, at, size) => native.mapGetAgain(this.#handle, length, target, at, size));
  }

  /** What `get` gives to one who has looked before: it does not count as a lookup, so the entry is not wanted yet. */
  #getAgain(key) {
    if (this.#near !== undefined) return this.#findNear(key, this.#near.numberOf(key), true);
    return this.#getLong(0, putKey(key));
  }

  /** Calls `read(target, at, size)` with enough room: at least `least` bytes. */
  #read(least, read) {
    for (;;) {
      const isPooled = least <= POOLED;
      const target = isPooled ? room(least) : new Uint8Array(least);
      const given = isPooled ? read(target, place(), POOLED) : read(target, 0, least);
      const kind = out[KIND];
      if (kind === NONE) return undefined;
      if (kind !== LONG) return decode(kind, given, target, isPooled, this.#canClone);
      least = given;
    }
  }

  #getNear(key) {
    const near = this.#near;
    const known = near.numberOf(key);
    if (known !== undefined && native.mapIsUnchanged(this.#handle, known)) return near.use(known);
    return this.#findNear(key, known, false);
  }

  #findNear(key, known, again) {
    const near = this.#near;
    const length = putKey(key);
    const target = pool();
    const given = native.mapGetNear(this.#handle, length, place(), known ?? NONE, again);
    if (out[KIND] === SAME) return near.use(known);
    const value = this.#value(given, length, target);
    if (out[KIND] === AS_JSON) {
      return near.keep(key, freezeDeeply(value), (number) => native.mapNote(this.#handle, number));
    }
    if (known !== undefined) near.forget(key);
    return value;
  }

  has(key) {
    return native.mapHas(this.#handle, putKey(key));
  }

  getInto(key, target) {
    checkTarget(target);
    const length = native.mapGetInto(this.#handle, putKey(key), target);
    if (length > target.length) {
      throw errors.outOfRange('target', `at least ${length} bytes long, as the value is`, target.length);
    }
    return length;
  }

  getEntry(key) {
    const length = putKey(key);
    const target = pool();
    const value = this.#value(native.mapGet(this.#handle, length, place()), length, target);
    if (out[KIND] === NONE) return undefined;
    return { value, version: numbers[NUMBER], expires: expiryOf() };
  }

  view(key, use) {
    if (typeof use !== 'function') throw errors.wrongType('use', 'a function', use);
    if (!this.#hasBytes()) return this.#useCopy(key, use);
    for (let i = 0; i < VIEWS; i++) {
      const view = native.mapView(this.#handle, putKey(key));
      if (view === NONE) return undefined;
      const bytes = new Uint8Array(this.#bytes, numbers[EXPIRES], numbers[NUMBER]);
      let result;
      let failure;
      try {
        result = use(bytes);
      } catch (error) {
        failure = { error };
      }
      if (!native.mapIsWhole(this.#handle, view)) continue;
      if (failure !== undefined) throw failure.error;
      return synchronous(result);
    }
    return this.#useCopy(key, use);
  }

  #useCopy(key, use) {
    let copy = new Uint8Array(0);
    for (;;) {
      const length = native.mapGetInto(this.#handle, putKey(key), copy);
      if (length === NONE) return undefined;
      if (length <= copy.length) return synchronous(use(copy.subarray(0, length)));
      copy = new Uint8Array(length);
    }
  }

  /** Whether values can be shown in place: not if the runtime forbids external buffers, or has none so large. */
  #hasBytes() {
    if (this.#bytes === undefined) {
      try {
        const take = (number, backend, key, size, buffer) => buffer;
        this.#bytes = addon.attach(undefined, this.#key, flags.VIEW, take, this.#number);
      } catch (error) {
        if (error.code !== 'ERR_SHM_NO_EXTERNAL_BUFFERS' && error.code !== 'ERR_OUT_OF_RANGE') throw error;
        this.#bytes = null;
      }
    }
    return this.#bytes !== null;
  }

  set(key, value, options) {
    const { encoding, value: given } = encode(value, this.#encoding);
    if (options === undefined) native.mapSet(this.#handle, putKey(key), encoding, given, this.#ttl);
    else this.#put(key, encoding, given, options, ALWAYS, 0);
    return this;
  }

  add(key, value, options) {
    const { encoding, value: given } = encode(value, this.#encoding);
    return this.#put(key, encoding, given, options, ABSENT, 0);
  }

  replace(key, version, value, options) {
    integer('version', version, 0, Number.MAX_SAFE_INTEGER);
    const { encoding, value: given } = encode(value, this.#encoding);
    return this.#put(key, encoding, given, options, VERSION, version);
  }

  #put(key, encoding, given, options, when, version) {
    const { ttl, tags } = entryOptions(options, this.#ttl);
    return native.mapPut(this.#handle, putKey(key), encoding, given, ttl, tags, when, version);
  }

  async getOrSet(key, load, options) {
    if (typeof load !== 'function') throw errors.wrongType('load', 'a function', load);
    const checked = loadOptions(options, this.#ttl);
    throwIfAborted(checked.signal);
    for (let value = this.get(key); ; value = this.#getAgain(key)) {
      // 'v8' can write undefined, too.
      if (value !== undefined || out[KIND] !== NONE) return value;
      const old = checked.stale > 0 ? this.#getStale(key, checked.stale) : undefined;
      if (old !== undefined) {
        this.#loads.reload(key, load, checked);
        return old;
      }
      const loaded = await this.#loads.wait(key, load, checked);
      // The loaded entry may have been removed meanwhile.
      if (loaded !== undefined) return (loaded.isStored ? this.#getAgain(key) : undefined) ?? copyOf(loaded, this.#canClone);
    }
  }

  #getStale(key, stale) {
    const length = putKey(key);
    const most = Math.min(stale, Number.MAX_SAFE_INTEGER);
    return this.#read(0, (target, at, size) => native.mapGetStale(this.#handle, length, target, at, size, most));
  }

  delete(key) {
    return native.mapDelete(this.#handle, putKey(key));
  }

  clear() {
    native.mapClear(this.#handle);
  }

  touch(key, ttl) {
    return native.mapTouch(this.#handle, putKey(key), ttlOf('ttl', ttl));
  }

  increment(key, by = 1, options) {
    integer('by', by, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const ttl = options === undefined ? this.#ttl : entryOptions(objectOf(options), this.#ttl).ttl;
    return native.mapIncrement(this.#handle, putKey(key), by, ttl);
  }

  incrementEntry(key, by, options) {
    const value = this.increment(key, by, options);
    return { value, expires: expiryOf() };
  }

  invalidateTag(...tags) {
    native.mapInvalidate(this.#handle, tagsOf(tags));
  }

  *keys() {
    let cursor = 0;
    for (;;) {
      const length = native.mapNextKey(this.#handle, cursor);
      if (length === NONE) return;
      cursor = numbers[NUMBER];
      yield takeKey(length);
    }
  }

  *values() {
    for (const [, value] of this.entries()) yield value;
  }

  *entries() {
    for (let cursor = 0; ; ) {
      const value = this.#read(0, (target, at, size) => native.mapNext(this.#handle, cursor, target, at, size));
      if (out[KIND] === NONE) return;
      cursor = numbers[NUMBER];
      yield [takeKey(out[KEY_LENGTH]), value];
    }
  }

  forEach(call, thisArg) {
    if (typeof call !== 'function') throw errors.wrongType('callback', 'a function', call);
    for (const [key, value] of this.entries()) Reflect.apply(call, thisArg, [value, key, this]);
  }

  stats() {
    const counts = native.mapStats(this.#handle);
    return Object.fromEntries(STATS.map((name, i) => [name, counts[i]]));
  }

  close() {
    if (this.#number === 0) return;
    addon.detachNumber(this.#number);
    this.#number = 0;
    this.#bytes = undefined;
    this.#near?.clear();
  }
}
Object.defineProperty(SharedMap.prototype, Symbol.iterator, {
  value: SharedMap.prototype.entries,
  configurable: true,
  writable: true,
});
Object.defineProperty(SharedMap.prototype, Symbol.toStringTag, { value: 'SharedMap', configurable: true });
disposable(SharedMap, SharedMap.prototype.close);

const expiryOf = () => (numbers[EXPIRES] === Infinity ? undefined : numbers[EXPIRES]);

/** Why a map with that mode and owner cannot have values that V8 encodes. */
function noClones(mode, isOfOther) {
  if ((mode & OTHERS_WRITE) === 0 && !isOfOther) {
    return errors.ours('ERR_SHM_ENCODING', "'v8' works in Node only: choose 'json'");
  }
  const how = isOfOther ? 'this one is of another user' : `the mode is 0${mode.toString(8)}`;
  return errors.wrongValue('encoding', 'v8', `is only for maps that other users cannot write to, and ${how}`);
}

function synchronous(result) {
  if (typeof result?.then === 'function') {
    throw errors.wrongType('use', 'a function that returns no promise', result);
  }
  return result;
}

module.exports = { SharedMap, isAlive, ownerOf };
