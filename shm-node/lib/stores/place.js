'use strict';

// The place of a store: a map, and the prefix with which the store's keys begin.

const { SharedMap } = require('../../map.js');
const errors = require('../errors.js');
const { isWellFormed } = require('../map/keys.js');

/**
 * `{ map, prefix, isOwn }` from a store's options: `{ map, prefix }`, or `{ key, prefix }` and the options of a map.
 */
function placeOf(options, defaultPrefix, defaults) {
  if (typeof options !== 'object' || options === null) throw errors.wrongType('options', 'an object', options);
  const { map: given, prefix = defaultPrefix, key, ...made } = options;
  if (typeof prefix !== 'string') throw errors.wrongType('prefix', 'a string', prefix);
  if (!isWellFormed(prefix)) throw errors.wrongValue('prefix', prefix, 'is not well-formed Unicode');
  if (given === undefined) {
    // Other processes could not open a map without a key.
    if (key === undefined) throw errors.wrongType('map', 'a SharedMap, unless "key" is given', given);
    return { map: new SharedMap(key, { ...defaults, ...made }), prefix, isOwn: true };
  }
  if (!(given instanceof SharedMap)) throw errors.wrongType('map', 'a SharedMap', given);
  const [other] = Object.keys({ ...(key !== undefined && { key }), ...made });
  if (other !== undefined) throw errors.wrongValue(other, options[other], 'is for a map that the store opens: leave out "map"');
  return { map: given, prefix, isOwn: false };
}

/** The keys of a place, without its prefix. */
function* keysOf({ map, prefix }) {
  for (const key of map.keys()) if (key.startsWith(prefix)) yield key.slice(prefix.length);
}

/** Removes the entries of a place only. */
function clear({ map, prefix }) {
  if (prefix === '') map.clear();
  else for (const key of keysOf({ map, prefix })) map.delete(prefix + key);
}

module.exports = { clear, keysOf, placeOf };
