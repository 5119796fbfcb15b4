'use strict';

// Random calls, compared with a model in JavaScript. SHM_NODE_CALLS sets how many.

const assert = require('node:assert/strict');
const fc = require('fast-check');
const { it } = require('node:test');
const { again, newMap } = require('./support/map.js');

const CALLS = Number(process.env.SHM_NODE_CALLS ?? 10_000);
const PER_RUN = 100;

const key = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('', 'a', 'b', 'ü', 'k'.repeat(49), '__proto__') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) },
);
const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ maxLength: 20 }).map((text) => `${text}\ud800`),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.bigInt(),
  fc.constant(null),
  fc.uint8Array({ maxLength: 300 }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(9000, 20_000).map((length) => Buffer.alloc(length, length)),
  fc.jsonValue({ maxDepth: 3 }).map((json) => JSON.parse(JSON.stringify(json))),
);
const tag = fc.constantFrom('t', 'u', 'v');
const tags = fc.uniqueArray(tag, { maxLength: 3 });

const call = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant('set'), key, value, tags) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('add'), key, value, tags) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom('replace', 'replaceOld'), key, value) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('delete'), key) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('increment'), key, fc.maxSafeInteger()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('touch'), key, fc.constantFrom(3_600_000, Infinity)) },
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom('get', 'has', 'getEntry', 'getInto', 'view'), key) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('invalidateTag'), tag) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('entries', 'keys', 'size')) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('clear')) },
);

/**
 * The answer of a map with the entries of `model` (`{ value, tags, version }` by key). Changes the model as a map
 * would.
 */
const models = {
  set(model, key, value, tags) {
    model.set(key, { value, tags });
  },
  add(model, key, value, tags) {
    if (model.has(key)) return false;
    model.set(key, { value, tags });
    return true;
  },
  replace(model, key, value) {
    if (!model.has(key)) return false;
    model.set(key, { value, tags: [] });
    return true;
  },
  replaceOld: () => false,
  delete: (model, key) => model.delete(key),
  increment(model, key, by) {
    const { value, tags } = model.get(key) ?? { value: 0, tags: [] };
    if (typeof value !== 'number' || ![value, by, value + by].every(Number.isSafeInteger)) return 'ERR_SHM_NOT_A_NUMBER';
    model.set(key, { value: value + by, tags });
    return value + by;
  },
  touch: (model, key) => model.has(key),
  get: (model, key) => model.get(key)?.value,
  has: (model, key) => model.has(key),
  getEntry: (model, key) => model.get(key)?.value,
  getInto: (model, key) => bytesOf(model.get(key)?.value),
  view: (model, key) => bytesOf(model.get(key)?.value),
  invalidateTag(model, tag) {
    for (const [key, { tags }] of model) if (tags.includes(tag)) model.delete(key);
  },
  entries: (model) => new Map([...model].map(([key, { value }]) => [key, value])),
  keys: (model) => new Set(model.keys()),
  size: (model) => model.size,
  clear: (model) => model.clear(),
};

const target = Buffer.alloc(70_000);
const calls = {
  set: (map, key, value, tags) => void map.set(key, value, { tags }),
  add: (map, key, value, tags) => map.add(key, value, { tags }),
  replace: (map, key, value) => map.replace(key, map.getEntry(key)?.version ?? 1, value),
  replaceOld: (map, key, value) => map.replace(key, 0, value),
  getEntry: (map, key) => map.getEntry(key)?.value,
  getInto: (map, key) => known(map.get(key), (length) => Buffer.from(target.subarray(0, length)), map.getInto(key, target)),
  view: (map, key) => known(map.get(key), (bytes) => bytes, map.view(key, (bytes) => Buffer.from(bytes))),
  entries: (map) => new Map(map),
  keys: (map) => new Set(map.keys()),
  size: (map) => [...map.keys()].length,
};

/** The bytes of what has bytes of its own: the others' are the map's own affair. */
const bytesOf = (value) => (value instanceof Uint8Array ? Buffer.from(value) : typeof value);
const known = (value, take, got) => (value instanceof Uint8Array ? take(got) : typeof value);

function answerOf(call) {
  try {
    return call();
  } catch (error) {
    if (error.code === undefined) throw error;
    return error.code;
  }
}

for (const [what, options] of [
  ['a map', { evict: false }],
  ['a cache with room enough', {}],
]) {
  it(`${what} gives the same answers to ${CALLS} random calls as a model`, () => {
    const first = newMap({ memory: 4 << 20, ...options });
    const objects = [first, again(first), again(first, { near: 3 })];
    const property = fc.property(fc.array(fc.tuple(fc.nat(objects.length - 1), call), { minLength: PER_RUN, maxLength: PER_RUN }), (all) => {
      first.clear();
      const model = new Map();
      for (const [who, [name, ...given]] of all) {
        const map = objects[who];
        const wanted = answerOf(() => models[name](model, ...given));
        const got = answerOf(() => (calls[name] ?? ((map, ...given) => map[name](...given)))(map, ...given));
        assert.deepEqual([name, got], [name, wanted]);
      }
    });
    fc.assert(property, { numRuns: Math.ceil(CALLS / PER_RUN) });
  });
}
