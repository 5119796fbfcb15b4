'use strict';

// Errors for wrong arguments, with Node's classes and codes.

const { inspect } = require('util');

function coded(Class, code, message) {
  const error = new Class(message);
  Error.captureStackTrace?.(error, coded);
  Object.defineProperty(error, 'code', { value: code, enumerable: true, writable: true, configurable: true });
  return error;
}

// What `inspect` trips over (a DataView that was detached, a getter that throws) still has a kind.
function shown(value) {
  try {
    return inspect(value, { depth: 0, maxStringLength: 60, maxArrayLength: 3 });
  } catch {
    return ArrayBuffer.isView(value) ? 'a view' : `a value of type ${typeof value}`;
  }
}

module.exports = {
  wrongType: (name, wanted, value) =>
    coded(TypeError, 'ERR_INVALID_ARG_TYPE', `"${name}" must be ${wanted}. Received ${shown(value)}`),
  wrongValue: (name, value, why) => coded(TypeError, 'ERR_INVALID_ARG_VALUE', `"${name}" ${shown(value)} ${why}`),
  outOfRange: (name, wanted, value) =>
    coded(RangeError, 'ERR_OUT_OF_RANGE', `"${name}" must be ${wanted}. Received ${shown(value)}`),
  notAttached: (key) =>
    coded(Error, 'ERR_SHM_NOT_ATTACHED', `segment ${shown(key)} is not attached in this thread: create or get it first`),
};
