'use strict';

// Checks the options of a map and of its entries.

const native = require('../native.js');
const parse = require('../arguments.js');
const errors = require('../errors.js');
const { MAX_TAGS } = require('../sync/native.js');
const { checkSignal } = require('../sync/signals.js');
const { isWellFormed } = require('./keys.js');

const ENCODINGS = ['json', 'v8', 'bytes'];
const MOST = Number.MAX_SAFE_INTEGER;
const MOST_32 = 2 ** 32 - 1;
const TAG_LENGTH = 256;
const LOCK_TIMEOUT = 100;
const LOAD_TIMEOUT = 30_000;

const NO_OPTIONS = Object.freeze({});

function objectOf(options) {
  if (options === undefined) return NO_OPTIONS;
  if (typeof options !== 'object' || options === null) throw errors.wrongType('options', 'an object', options);
  return options;
}

/** An integer that may be left out; 0 if it is. */
const optional = (name, value, max) => (value === undefined ? 0 : parse.integer(name, value, 1, max));

/** A time to live in milliseconds; 0 means for ever. */
function ttlOf(name, ttl) {
  if (typeof ttl !== 'number') throw errors.wrongType(name, 'a number', ttl);
  if (!(ttl > 0)) throw errors.outOfRange(name, 'a number of milliseconds above 0, or Infinity', ttl);
  return ttl === Infinity ? 0 : ttl;
}

function timeOf(name, value) {
  if (typeof value !== 'number') throw errors.wrongType(name, 'a number', value);
  if (!(value >= 0)) throw errors.outOfRange(name, 'a number of milliseconds, 0 or more', value);
  return value;
}

/** The options with which a map is opened. */
function mapOptions(given, options) {
  const isKeyed = typeof given !== 'object' || given === null;
  if (!isKeyed && options !== undefined) throw errors.wrongValue('options', options, 'must be the first argument, or follow a key');
  const all = objectOf(isKeyed ? options : given);
  const { memory, entries, ttl = Infinity, evict, encoding = 'json', maxValue, shards, tagSlots, near = 0 } = all;
  const { lockTimeout = LOCK_TIMEOUT, mode, backend, persist, hugePages, readOnly } = all;
  if (!isKeyed && memory === undefined) throw errors.wrongType('memory', 'a number', memory);
  if (evict !== undefined) parse.flag('evict', evict, 1);
  if (typeof encoding !== 'string') throw errors.wrongType('encoding', "'json', 'v8' or 'bytes'", encoding);
  if (!ENCODINGS.includes(encoding)) {
    throw errors.wrongValue('encoding', encoding, "is not one of 'json', 'v8' and 'bytes'");
  }
  const flags =
    parse.flag('persist', persist, parse.flags.PERSIST) |
    parse.flag('hugePages', hugePages, parse.flags.HUGE_PAGES) |
    parse.flag('readOnly', readOnly, parse.flags.READ_ONLY);
  if (!isKeyed && readOnly) throw errors.wrongValue('readOnly', readOnly, 'needs a key: a map with a random key is new, and has to be written');
  const key = isKeyed ? parse.keyOf(given) : undefined;
  return {
    backend: placeOf(backend, key),
    key,
    flags,
    mode: parse.modeOf(mode),
    lockTimeout: timeOf('lockTimeout', lockTimeout),
    made: [
      optional('memory', memory, MOST),
      optional('entries', entries, MOST_32),
      optional('shards', shards, MOST_32),
      evict === undefined ? 0 : evict ? 1 : 2,
      optional('maxValue', maxValue, MOST_32),
      optional('tagSlots', tagSlots, MOST_32),
    ],
    ttl: ttlOf('ttl', ttl),
    encoding,
    near: parse.integer('near', near, 0, MOST_32),
  };
}

/** The backend of a map. For an integer without a backend: the one that has such a segment, or else the first. */
function placeOf(backend, key) {
  if (backend !== undefined || typeof key !== 'number') return parse.backendOf(backend, key);
  const found = native.info(undefined, key);
  return found === null ? 0 : parse.backendOf(found.backend);
}

/** A copy, because the addon must run no getter or proxy of the user's when it reads them. */
function tagsOf(given) {
  if (!Array.isArray(given)) throw errors.wrongType('tags', 'an array of strings', given);
  if (given.length > MAX_TAGS) throw errors.outOfRange('tags', `at most ${MAX_TAGS} strings`, given.length);
  const tags = [...given];
  for (const tag of tags) {
    if (typeof tag !== 'string') throw errors.wrongType('tags', 'an array of strings', tag);
    if (tag.length > TAG_LENGTH) throw errors.outOfRange('tags', `strings of at most ${TAG_LENGTH} characters`, tag);
    if (!isWellFormed(tag)) throw errors.wrongValue('tags', tag, 'is not well-formed Unicode');
  }
  return tags;
}

/** `{ ttl, tags }` of an entry, in milliseconds and strings. */
function entryOptions(options, ttl) {
  const given = objectOf(options);
  return {
    ttl: given.ttl === undefined ? ttl : ttlOf('ttl', given.ttl),
    tags: given.tags === undefined ? undefined : tagsOf(given.tags),
  };
}

/** `{ ttl, tags, stale, signal, loadTimeout }` of a load; 0 means no limit, and no stale values. */
function loadOptions(options, ttl) {
  const { stale = 0, signal, loadTimeout = LOAD_TIMEOUT } = objectOf(options);
  checkSignal(signal);
  return {
    ...entryOptions(options, ttl),
    stale: timeOf('stale', stale),
    signal,
    loadTimeout: ttlOf('loadTimeout', loadTimeout),
  };
}

module.exports = { entryOptions, loadOptions, mapOptions, objectOf, tagsOf, ttlOf };
