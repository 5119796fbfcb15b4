'use strict';

// Arrays and buffers as the language itself knows them: those of another realm (vm, jest, vitest) count as well,
// and what a program has put on one, or made look like one, does not.

const { isAnyArrayBuffer, isSharedArrayBuffer } = require('util').types;
const errors = require('./errors.js');

const getter = (prototype, name) => {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name);
  return (object) => Reflect.apply(get, object, []);
};

const TypedArray = Object.getPrototypeOf(Uint8Array.prototype);
const fields = (prototype) =>
  ['buffer', 'byteOffset', 'byteLength'].map((name) => getter(prototype, name));
const [arrayBuffer, arrayOffset, arrayLength] = fields(TypedArray);
const [viewBuffer, viewOffset, viewLength] = fields(DataView.prototype);
const bufferLength = getter(ArrayBuffer.prototype, 'byteLength');
const sharedLength = getter(SharedArrayBuffer.prototype, 'byteLength');

/** The class of a typed array, `'Int32Array'` say; undefined for all else. That of a Buffer is `'Uint8Array'`. */
const classOf = getter(TypedArray, Symbol.toStringTag);

/** The buffer of a typed array or a DataView. */
const bufferOf = (view) => (classOf(view) === undefined ? viewBuffer(view) : arrayBuffer(view));

/** The bytes of an argument: a view of any class, or a buffer. Those of an array that was detached are none. */
function bytesOf(name, value) {
  if (classOf(value) !== undefined) return bytesAt(arrayBuffer(value), arrayOffset(value), arrayLength(value));
  if (ArrayBuffer.isView(value)) return bytesAt(viewBuffer(value), ...extentOf(name, value));
  if (!isAnyArrayBuffer(value)) throw errors.wrongType(name, 'a Buffer, a typed array, a DataView or an ArrayBuffer', value);
  return bytesAt(value, 0, isSharedArrayBuffer(value) ? sharedLength(value) : bufferLength(value));
}

// Nothing can be made over a buffer that was detached.
const bytesAt = (buffer, offset, length) => (length === 0 ? new Uint8Array(0) : new Uint8Array(buffer, offset, length));

// The language gives an array that was detached the length 0, and a DataView none.
function extentOf(name, view) {
  try {
    return [viewOffset(view), viewLength(view)];
  } catch (error) {
    throw error instanceof TypeError ? errors.wrongValue(name, view, 'is over a buffer that is detached, or has become too short') : error;
  }
}

module.exports = { bufferOf, bytesOf, classOf };
