'use strict';

// Shared memory between processes, as ordinary Buffers and typed arrays.
// Arguments are checked here and in lib/; what they mean is decided in Rust (src/functions.rs).

const { bytesOf } = require('./lib/arrays.js');
const parse = require('./lib/arguments.js');
const { BufferType, constants } = require('./lib/types.js');
const errors = require('./lib/errors.js');
const native = require('./lib/native.js');
const { attachments, toHandle, toView } = require('./lib/views.js');
const { prepare } = require('./lib/endings.js');
const shrinks = require('./lib/shrinks.js');

const { VIEW } = parse.flags;

function create(sizeOrOptions, type) {
  const options =
    typeof sizeOrOptions === 'object' && sizeOrOptions !== null
      ? parse.createOptions(sizeOrOptions, type)
      : parse.createArguments(sizeOrOptions, type);
  prepare();
  const { backend, key, size, mode, flags } = options;
  return native.create(backend, key, size, mode, flags, maker(options));
}

function get(target, type) {
  const options = parse.getArguments(target, type);
  prepare();
  const { backend, key, flags, number } = options;
  return native.attach(backend, key, flags, maker(options), number);
}

// What the addon calls with a segment that it has, and returns the result of. Where this throws, for want of stack say,
// the addon undoes what it did: after it, nothing that can fail is left to do.
function maker({ type, flags }) {
  return (number, backend, key, size, buffer) => {
    shrinks.watch(backend);
    const attachment = { number, backend, key };
    if ((flags & VIEW) === 0) return toHandle(attachment, size);
    attachments.set(buffer, attachment);
    return toView(buffer, size, type, key, detach);
  };
}

function detach(target) {
  const { backend, key, number } = parse.target(target);
  return number === undefined ? native.detachKey(backend, key) : native.detachNumber(number);
}

function detachAll() {
  return native.detachAll();
}

function destroy(target) {
  const { backend, key, number } = parse.target(target);
  return !isReplaced(number) && native.destroy(backend, key);
}

// A view, and the handle of an attachment, mean their own segment, and never another that has its key by now: none once
// they are detached.
const isReplaced = (number) => number !== undefined && native.isReplaced(number);

function read(target, offset, bytes) {
  return copy(native.read, target, offset, bytes, 'target');
}

function write(target, offset, bytes) {
  return copy(native.write, target, offset, bytes, 'source');
}

function copy(move, target, offset, bytes, name) {
  const { backend, key, number } = parse.target(target);
  try {
    const moved = move(backend, key, number, parse.offset(offset), bytesOf(name, bytes));
    if (moved < 0) throw errors.notAttached(key);
    return moved;
  } finally {
    shrinks.notice();
  }
}

function list() {
  return native.list().map(toInfo);
}

function info(target) {
  const { backend, key, number } = parse.target(target);
  shrinks.check(number);
  const found = isReplaced(number) ? null : native.info(backend, key);
  return found === null ? null : toInfo(found);
}

function toInfo({ key, backend, size, mode, uid, gid, holders = null, creator = null, created, state }) {
  const when = created === undefined ? null : new Date(created);
  return { key, backend, size, mode, uid, gid, holders, creator, created: when, state };
}

function sweep() {
  return native.sweep();
}

module.exports = {
  create,
  get,
  detach,
  detachAll,
  read,
  write,
  destroy,
  list,
  info,
  sweep,
  BufferType,
  SizeMax: parse.SIZE_MAX,
  ...constants,
};
