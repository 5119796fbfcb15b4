'use strict';

// shm-node map: what is in a map.

const { inspect } = require('util');
const show = require('../show.js');
const { Refusal, infoOf, structuresOf } = require('./segments.js');
const structures = require('./structures.js');

// How many arguments each takes after the key of the map.
const ARGUMENTS = { stats: [0, 0], keys: [0, 0], get: [1, 1], delete: [1, Infinity], clear: [0, 0] };

const verbs = { keys, get, delete: remove, clear };

/** What `shm-node map VERB` does, with a map that is there. */
function run(verb, target, names, { json }) {
  const found = mapOf(target);
  if (verb === 'stats') return stats(found, json);
  const isRead = verb === 'keys' || verb === 'get';
  // Required here: other commands need none of it.
  const { SharedMap } = require('../../map.js');
  const { backend } = infoOf(target);
  const map = new SharedMap(target.key, { backend, readOnly: isRead && backend !== 'sysv' });
  try {
    verbs[verb](map, names, json);
  } finally {
    map.close();
  }
}

/** What the addon tells of a map. */
function mapOf(target) {
  const name = show.key(target.key);
  infoOf(target);
  const all = structuresOf(target, 4096, 16) ?? [];
  const [map] = all;
  if (map?.what !== 'map') {
    throw new Refusal(`${name}: not a map, but ${structures.summary(all)}: \`shm-node inspect ${name}\` shows it`);
  }
  if (map.problem !== undefined) throw new Refusal(`${name}: ${map.problem}`);
  return map;
}

function stats({ options, stats, loads }, json) {
  if (json) return console.log(show.json({ ...stats, loads, options }, 2));
  for (const [name, value] of Object.entries({ ...stats, loads })) console.log(`${name.padEnd(12)} ${value}`);
}

function keys(map, _, json) {
  if (json) return console.log(show.json([...map.keys()], 2));
  for (const key of map.keys()) console.log(show.key(key));
}

function get(map, [name], json) {
  const entry = map.getEntry(name);
  if (entry === undefined) throw new Refusal(`${show.key(map.key)}: no entry ${show.key(name)}`);
  const { value, version, expires = null } = entry;
  if (json) return console.log(show.json({ value: plain(value), version, expires }, 2));
  const whole = { depth: null, maxArrayLength: null, maxStringLength: null };
  console.log(show.text(typeof value === 'string' ? value : inspect(value, whole)));
}

/** As JSON has it. */
function plain(value) {
  if (typeof value === 'bigint') return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toJSON() : value;
}

function remove(map, names, json) {
  const removed = names.filter((name) => map.delete(name));
  if (json) console.log(show.json(removed));
  const missing = names.find((name) => !removed.includes(name));
  if (missing !== undefined) throw new Refusal(`${show.key(map.key)}: no entry ${show.key(missing)}`);
}

function clear(map, _, json) {
  const count = map.size;
  map.clear();
  if (json) console.log(show.json({ cleared: count }));
}

module.exports = { ARGUMENTS, run };
