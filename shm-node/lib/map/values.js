'use strict';

// Values, as users pass them and as the addon takes and returns them. The addon knows how they lie in a map.

const { Buffer } = require('buffer');
const { types } = require('util');
const v8 = require('v8');
const { bufferOf, classOf } = require('../arrays.js');
const { isMoved } = require('../sync/bytes.js');
const errors = require('../sync/errors.js');
const native = require('../sync/native.js');
const { isWellFormed } = require('./keys.js');
const { take } = require('./pool.js');

const { BIGINT, BUFFER, FALSE, JSON: AS_JSON, NULL, NUMBER, STRING, TRUE, UINT8_ARRAY, UTF16, V8 } = native;

const INSTEAD = ": convert it, or open the map with `encoding: 'v8'`";

/** The form that the addon takes, of the last value that was passed to `encode`. */
const encoded = { encoding: NULL, value: undefined };

/** Converts a value to what the addon takes: a number for its encoding, and its bytes or number. */
function encode(value, encoding) {
  switch (typeof value) {
    case 'string':
      return as(isWellFormed(value) ? STRING : UTF16, value);
    case 'number':
      return as(NUMBER, value);
    case 'boolean':
      return as(value ? TRUE : FALSE, undefined);
    case 'bigint':
      return as(BIGINT, String(value));
    case 'object':
      if (value === null) return as(NULL, undefined);
      if (value instanceof Buffer) return bytes(BUFFER, value);
      if (classOf(value) === 'Uint8Array') return bytes(Buffer.isBuffer(value) ? BUFFER : UINT8_ARRAY, value);
  }
  if (encoding === 'v8') return as(V8, serialize(value));
  if (encoding === 'bytes') {
    const wanted = "a string, a number, a bigint, a boolean, null or bytes (or choose `encoding: 'json'`)";
    throw errors.wrongType('value', wanted, value);
  }
  if (isChanged(value)) {
    throw errors.wrongValue('value', value, `would be changed by JSON${INSTEAD}`);
  }
  const text = JSON.stringify(value);
  if (text === undefined) {
    throw errors.wrongValue('value', value, `has no JSON text${INSTEAD}`);
  }
  return as(isWellFormed(text) ? AS_JSON : failed(value), text);
}

function as(encoding, value) {
  encoded.encoding = encoding;
  encoded.value = value;
  return encoded;
}

function bytes(encoding, value) {
  if (value.length === 0 && isMoved(value)) {
    throw errors.wrongValue('value', value, 'is over a buffer that is detached');
  }
  return as(encoding, value);
}

// JSON.stringify escapes ill-formed text, but a `toJSON` that uses JSON.rawJSON may return any text.
function failed(value) {
  throw errors.wrongValue('value', value, 'is not well-formed Unicode as JSON');
}

/** Whether JSON would silently change the value. */
const isChanged = (value) =>
  typeof value !== 'object' ||
  ArrayBuffer.isView(value) ||
  types.isAnyArrayBuffer(value) ||
  types.isBoxedPrimitive(value) ||
  types.isDate(value) ||
  types.isMap(value) ||
  types.isNativeError(value) ||
  value instanceof Error ||
  types.isPromise(value) ||
  types.isRegExp(value) ||
  types.isSet(value) ||
  types.isWeakMap(value) ||
  types.isWeakSet(value);

function serialize(value) {
  try {
    return v8.serialize(value);
  } catch (error) {
    throw Object.assign(errors.wrongValue('value', value, `cannot be cloned: ${error.message}`), { cause: error });
  }
}

/** A value of its own, of what the addon gave: the kind that it told, and for bytes how many, at `at` of `target`. */
function decode(kind, given, target, isPooled, canClone) {
  switch (kind) {
    case BUFFER:
      return isPooled ? take(given) : bufferOver(target, given);
    case STRING:
    case UTF16:
    case NUMBER:
      return given;
    case AS_JSON:
      return parse(given);
    case NULL:
      return null;
    case FALSE:
      return false;
    case TRUE:
      return true;
    case BIGINT:
      return toBigInt(given);
    case UINT8_ARRAY:
      return isPooled ? new Uint8Array(take(given)) : target.subarray(0, given);
    case V8:
      if (!canClone) throw undecodable("has the encoding 'v8', and this runtime cannot read it, or other users may write to the map");
      return deserialize(isPooled ? Buffer.from(take(given)) : bufferOver(target, given));
    default:
      throw undecodable(`has the encoding ${kind}, which this version does not know`);
  }
}

/** A value of its own, of what `encode` gave. */
function copyOf({ encoding, value }, canClone) {
  if (encoding === undefined) return undefined;
  if (![BUFFER, UINT8_ARRAY, V8].includes(encoding)) return decode(encoding, value, undefined, false, canClone);
  const copy = new Uint8Array(value);
  return decode(encoding, copy.length, copy, false, canClone);
}

const bufferOver = (target, length) => Buffer.from(bufferOf(target), target.byteOffset, length);

function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw undecodable(`is not JSON: ${error.message}`, error);
  }
}

function toBigInt(text) {
  try {
    return BigInt(text);
  } catch (error) {
    throw undecodable('is not an integer', error);
  }
}

function deserialize(buffer) {
  try {
    return v8.deserialize(buffer);
  } catch (error) {
    throw undecodable(`cannot be decoded by this runtime: ${error.message}`, error);
  }
}

const undecodable = (why, cause) =>
  Object.assign(errors.ours('ERR_SHM_ENCODING', `the value ${why}`), cause && { cause });

// `new Map([[1, { a: [true, 'ä'] }]])` of Node 18.
const SAMPLE = 'ff0f3b49026f2201614102542201e42400027b013a02';

/** Whether this runtime has the same V8 format as Node. */
let knows;
function knowsV8() {
  if (knows === undefined) {
    try {
      const [[key, value]] = v8.deserialize(Buffer.from(SAMPLE, 'hex'));
      const [version] = v8.serialize(1);
      knows = version === 0xff && key === 1 && value.a[0] === true && value.a[1] === 'ä';
    } catch {
      knows = false;
    }
  }
  return knows;
}

module.exports = { copyOf, decode, encode, knowsV8 };
