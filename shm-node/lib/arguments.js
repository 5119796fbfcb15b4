'use strict';

// Arguments: the positional forms of the original contract and the options object, to plain values for Rust.

const { MAX_LENGTH } = require('buffer').constants;
const { isMainThread } = require('worker_threads');
const { bufferOf } = require('./arrays.js');
const errors = require('./errors.js');
const native = require('./native.js');
const { attachments } = require('./views.js');
const { typeOf } = require('./types.js');

// As in src/functions.rs.
const flags = Object.freeze({ PERSIST: 1, RESERVE: 2, HUGE_PAGES: 4, VIEW: 8, READ_ONLY: 16, SIZED: 32, COUNTED: 64, POPULATE: 128 });

// What `create(size, type)` makes in the main thread is counted by the line at the end of the process.
const POSITIONAL = flags.RESERVE | flags.VIEW | (isMainThread ? flags.COUNTED : 0);

const is64Bit = !['arm', 'ia32', 'mips', 'mipsel', 'ppc', 's390'].includes(process.arch);
const SIZE_MAX = is64Bit ? 0x7fffffff : 0x3fffffff;

const BACKENDS = ['sysv', 'posix', 'windows'];
const built = native.backendNames();
// The one that has strings as keys.
const WITH_NAMES = built.findIndex((name) => name !== 'sysv');

function integer(name, value, min, max) {
  if (typeof value !== 'number') throw errors.wrongType(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw errors.outOfRange(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

function flag(name, value, bit, fallback = false) {
  if (value === undefined) value = fallback;
  if (typeof value !== 'boolean') throw errors.wrongType(name, 'a boolean', value);
  return value ? bit : 0;
}

function sizeOf(name, value, type, max) {
  integer(name, value, 1, max);
  if (value % type.bytes !== 0) throw errors.outOfRange(name, `a multiple of ${type.bytes}, the element size of ${type.name}`, value);
  return value;
}

function createArguments(size, type) {
  const parsed = typeOf(type);
  sizeOf('size', size, parsed, SIZE_MAX);
  return { backend: 0, key: undefined, size, type: parsed, mode: 0o600, flags: POSITIONAL };
}

function createOptions(options, second) {
  // A Proxy of an array is no view, and would throw where its length is asked for.
  if (ArrayBuffer.isView(options) || Array.isArray(options) || 'BYTES_PER_ELEMENT' in options) {
    throw errors.wrongType('size', 'a number or an object', options);
  }
  noSecond(second);
  const { size, length, type, key, mode, backend, persist, reserve, hugePages, populate, view } = options;
  const parsed = typeOf(type);
  const viewFlag = flag('view', view, flags.VIEW, true);
  const max = viewFlag ? MAX_LENGTH : Number.MAX_SAFE_INTEGER;
  if (size !== undefined && length !== undefined) throw errors.wrongValue('length', length, 'cannot be used together with "size"');
  if (length !== undefined) integer('length', length, 1, Math.floor(max / parsed.bytes));
  return {
    backend: backendOf(backend, key),
    key: key === undefined ? undefined : keyOf(key),
    size: length === undefined ? sizeOf('size', size, parsed, max) : length * parsed.bytes,
    type: parsed,
    mode: modeOf(mode),
    flags:
      flag('persist', persist, flags.PERSIST) |
      flag('reserve', reserve, flags.RESERVE, true) |
      flag('hugePages', hugePages, flags.HUGE_PAGES) |
      flag('populate', populate, flags.POPULATE) |
      viewFlag,
  };
}

// The options have it all; what comes after them would be ignored.
function noSecond(value) {
  if (value !== undefined) throw errors.wrongValue('type', value, 'must be in the options');
}

function getArguments(first, second) {
  const isOptions = typeof first === 'object' && first !== null && !ArrayBuffer.isView(first);
  if (isOptions) noSecond(second);
  const { number, backend, key } = target(first);
  if (!isOptions) return { number, backend, key, type: typeOf(second), flags: flags.VIEW };
  const { type, readOnly, populate, view } = first;
  return {
    number,
    backend,
    key,
    type: typeOf(type),
    flags:
      flag('readOnly', readOnly, flags.READ_ONLY) |
      flag('populate', populate, flags.POPULATE) |
      flag('view', view, flags.VIEW, true),
  };
}

// A segment, as an argument: a view of it or the handle of an attachment (which have a number), a key, or
// { key, backend }. Without a backend, the addon knows which one a bare integer means.
function target(value) {
  if (ArrayBuffer.isView(value)) return attachmentOf(value);
  if (typeof value !== 'object' || value === null) return named(value);
  return attachments.get(value) ?? named(value.key, value.backend);
}

function named(given, backend) {
  const key = keyOf(given);
  const isBare = typeof key === 'number' && backend === undefined;
  return { number: undefined, backend: isBare ? undefined : backendOf(backend, key), key };
}

function attachmentOf(view) {
  const attachment = attachments.get(bufferOf(view));
  if (attachment === undefined) throw errors.wrongValue('view', view, 'is not over a shared segment');
  return attachment;
}

function keyOf(key) {
  if (typeof key === 'number') return integer('key', key, 1, 0xffffffff);
  if (typeof key !== 'string') throw errors.wrongType('key', 'an integer or a string', key);
  // Half a character would reach Rust as another one.
  if (/\p{Surrogate}/u.test(key)) throw errors.wrongValue('key', key, 'is not well-formed Unicode');
  // As it comes from process.argv or process.env.
  if (/^\d+$/.test(key)) {
    throw errors.wrongValue('key', key, `is a string of digits: pass Number(key), or '/${key}' for a POSIX name`);
  }
  return key;
}

// The number of a backend: its place among those that are built in. Strings name POSIX objects (on Windows, sections),
// and integers are created on the first backend of the build.
function backendOf(name, key) {
  if (name === undefined) {
    if (typeof key !== 'string') return 0;
    if (WITH_NAMES < 0) throw errors.wrongValue('key', key, 'is a string, and this build has System V only');
    return WITH_NAMES;
  }
  if (typeof name !== 'string') throw errors.wrongType('backend', "'sysv', 'posix' or 'windows'", name);
  if (!BACKENDS.includes(name)) throw errors.wrongValue('backend', name, "is none of 'sysv', 'posix' and 'windows'");
  if (!built.includes(name)) throw errors.wrongValue('backend', name, `is not in this build, which has ${built}`);
  return built.indexOf(name);
}

function modeOf(mode = 0o600) {
  if (typeof mode === 'number') {
    if (Number.isInteger(mode) && mode >= 0 && mode <= 0o777) return mode;
    throw errors.outOfRange('mode', 'an integer from 0 to 0o777, such as 0o660', mode);
  }
  if (typeof mode !== 'string') throw errors.wrongType('mode', 'a number or an octal string', mode);
  if (!/^(0o)?0?[0-7]{1,3}$/.test(mode)) throw errors.wrongValue('mode', mode, 'is not an octal string from 0 to 777');
  return Number.parseInt(mode.replace('0o', ''), 8);
}

function offset(value) {
  return integer('offset', value, 0, Number.MAX_SAFE_INTEGER);
}

module.exports = {
  SIZE_MAX,
  attachmentOf,
  backendOf,
  createArguments,
  createOptions,
  flag,
  flags,
  getArguments,
  integer,
  keyOf,
  modeOf,
  offset,
  target,
};
