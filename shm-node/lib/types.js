'use strict';

// The thirteen kinds of view, each by its number, its name and its constructor.

const errors = require('./errors.js');

// The place is the number. A runtime may lack the last.
const NAMES = [
  ['Buffer', 'SHMBT_BUFFER'],
  ['Int8Array', 'SHMBT_INT8'],
  ['Uint8Array', 'SHMBT_UINT8'],
  ['Uint8ClampedArray', 'SHMBT_UINT8CLAMPED'],
  ['Int16Array', 'SHMBT_INT16'],
  ['Uint16Array', 'SHMBT_UINT16'],
  ['Int32Array', 'SHMBT_INT32'],
  ['Uint32Array', 'SHMBT_UINT32'],
  ['Float32Array', 'SHMBT_FLOAT32'],
  ['Float64Array', 'SHMBT_FLOAT64'],
  ['BigInt64Array', 'SHMBT_BIGINT64'],
  ['BigUint64Array', 'SHMBT_BIGUINT64'],
  ['Float16Array', 'SHMBT_FLOAT16'],
];

const BufferType = Object.freeze(Object.fromEntries(NAMES.map(([name], number) => [name, number])));
const constants = Object.freeze(Object.fromEntries(NAMES.map(([, constant], number) => [constant, number])));

const types = new Map();
for (const [number, [name]] of NAMES.entries()) {
  const constructor = globalThis[name];
  const type = { name, constructor, bytes: name === 'Buffer' ? 1 : constructor?.BYTES_PER_ELEMENT };
  types.set(number, type).set(name, type);
  if (constructor !== undefined) types.set(constructor, type);
}

function typeOf(value = BufferType.Buffer) {
  const type = types.get(value) ?? ofAnotherRealm(value);
  if (type === undefined) {
    if (!['number', 'string', 'function'].includes(typeof value)) {
      throw errors.wrongType('type', 'a BufferType, the name of an array type or its constructor', value);
    }
    throw errors.wrongValue('type', value, `is not one of ${NAMES.map(([name]) => name).join(', ')}`);
  }
  if (type.constructor === undefined) throw errors.wrongValue('type', value, `needs ${type.name}, which this runtime lacks`);
  return type;
}

// A constructor of another realm makes views of that realm, which are what its programs expect.
function ofAnotherRealm(value) {
  if (typeof value !== 'function' || !isBuiltIn(value) || !Object.hasOwn(value, 'BYTES_PER_ELEMENT')) return undefined;
  const type = typeof value.name === 'string' ? types.get(value.name) : undefined;
  return type && { ...type, constructor: value };
}

const isBuiltIn = (value) => Function.prototype.toString.call(value).endsWith('{ [native code] }');

module.exports = { BufferType, constants, typeOf };
