'use strict';

// Functions whose results all processes share. One process computes each result.

const { SharedMap } = require('../map.js');
const errors = require('../lib/errors.js');
const { loadOptions, objectOf } = require('../lib/map/options.js');

function memoize(fn, options) {
  if (typeof fn !== 'function') throw errors.wrongType('fn', 'a function', fn);
  const { map, key, ttl, stale, tags, loadTimeout } = objectOf(options);
  if (!(map instanceof SharedMap)) throw errors.wrongType('map', 'a SharedMap', map);
  if (typeof key !== 'function') throw errors.wrongType('key', 'a function', key);
  const load = { ttl, stale, tags, loadTimeout };
  loadOptions(load);
  async function memoized(...args) {
    return map.getOrSet(key(...args), () => Reflect.apply(fn, this, args), load);
  }
  return Object.defineProperty(memoized, 'name', { value: fn.name, configurable: true });
}

module.exports = { memoize };
