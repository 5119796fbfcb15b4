'use strict';

// Keys: well-formed strings, written as UTF-8 into memory that the addon reads.

const errors = require('../errors.js');
const { MAX_KEY, key: bytes } = require('../sync/native.js');

// Up to this length a loop is faster than a call.
const SHORT = 48;

/** Writes a key where the addon reads it, and returns its length in bytes. */
function putKey(key) {
  if (typeof key !== 'string') throw errors.wrongType('key', 'a string', key);
  const { length } = key;
  if (length > SHORT) return putLong(key);
  let all = 0;
  for (let i = 0; i < length; i++) {
    const code = key.charCodeAt(i);
    bytes[i] = code;
    all |= code;
  }
  return all < 128 ? length : putLong(key);
}

function putLong(key) {
  // The addon checks the length in bytes; this buffer has room for as many characters.
  if (key.length > MAX_KEY) {
    throw errors.outOfRange('key', `at most ${MAX_KEY} bytes of UTF-8`, `${key.length} characters`);
  }
  if (!isWellFormed(key)) throw errors.wrongValue('key', key, 'is not well-formed Unicode');
  return bytes.write(key, 0, 'utf8');
}

/** The key that the addon has written there. */
const takeKey = (length) => bytes.toString('utf8', 0, length);

const isWellFormed =
  String.prototype.isWellFormed === undefined
    ? (text) => !/\p{Surrogate}/u.test(text)
    : (text) => text.isWellFormed();

module.exports = { isWellFormed, putKey, takeKey };
