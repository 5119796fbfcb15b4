'use strict';

// The API of the npm package shm-typed-array 0.1.1, with its memory layout: System V segments are data only, and in
// POSIX objects 8 bytes that hold the data's size come first. Crashes and leaks are not part of it.

const { isMainThread } = require('worker_threads');
const { MAX_LENGTH } = require('buffer').constants;
const { flags } = require('./lib/arguments.js');
const { children } = require('./lib/children.js');
const { isQuiet, prepare } = require('./lib/endings.js');
const errors = require('./lib/errors.js');
const native = require('./lib/native.js');
const { BufferType: allTypes, typeOf } = require('./lib/types.js');
const { attachments, toArray } = require('./lib/views.js');

const KEY_MAX = 0xfffffffe;
const INTEGERS = 0;
const POSIX = native.backendNames().indexOf('posix');

const BufferType = Object.freeze(Object.fromEntries(Object.entries(allTypes).filter(([, number]) => number <= 9)));

// What this thread holds or held: key -> { size, number, buffer, created, seen }. After a detach that left others
// holding, `buffer` is null, and a further detach may yet find that the last of them is gone: of the segment that was
// `seen` then, not of another that has its key since.
const segments = new Map();

// What it holds although the key names another segment by now: only `detachAll` ends these.
let replaced = [];

function typeFor(name = 'Buffer') {
  if (!Object.hasOwn(BufferType, name)) throw new Error(`Unknown type key ${String(name)}`);
  return typeOf(name);
}

function sizeFor(count, { bytes }) {
  if (!Number.isSafeInteger(count) || count < 1 || count * bytes > MAX_LENGTH) {
    throw new RangeError(`Count should be 1 .. ${Math.floor(MAX_LENGTH / bytes)}`);
  }
  return count * bytes;
}

function checkKey(key) {
  if (!Number.isSafeInteger(key) || key < 1 || key > KEY_MAX) {
    throw new RangeError(`Shm key should be 1 .. ${KEY_MAX}`);
  }
}

function checkName(name) {
  if (typeof name !== 'string') throw errors.wrongType('name', 'a string', name);
  if (POSIX < 0) throw errors.wrongValue('name', name, 'is a string, and this build has no POSIX');
}

function modeFor(permissions) {
  const mode = Number.parseInt(permissions, 8);
  return Number.isNaN(mode) ? 0o660 : mode & 0o777;
}

function create(count, typeKey, key = null, permissions) {
  if (typeof key === 'string') return createPosix(key, count, typeKey, permissions);
  const type = typeFor(typeKey);
  if (key !== null) checkKey(key);
  const size = sizeFor(count, type);
  prepare();
  const bits = flags.RESERVE | flags.VIEW;
  return native.create(INTEGERS, key ?? undefined, size, modeFor(permissions), bits, maker(type, true));
}

function createPosix(name, count, typeKey, permissions) {
  checkName(name);
  const type = typeFor(typeKey);
  const size = sizeFor(count, type);
  prepare();
  const bits = flags.RESERVE | flags.VIEW | flags.SIZED | flags.PERSIST;
  return native.create(POSIX, name, size, modeFor(permissions), bits, maker(type, true));
}

function get(key, typeKey) {
  if (typeof key === 'string') return getPosix(key, typeKey);
  const type = typeFor(typeKey);
  checkKey(key);
  prepare();
  return native.attach(INTEGERS, key, flags.VIEW, maker(type, false));
}

function getPosix(name, typeKey) {
  checkName(name);
  const type = typeFor(typeKey);
  prepare();
  return native.attach(POSIX, name, flags.VIEW | flags.SIZED, maker(type, false));
}

const isPosix = (key) => typeof key === 'string';

// As in index.js. The segment is noted last, so that one that was undone is not.
function maker(type, created) {
  return (number, backend, key, size, buffer) => {
    attachments.set(buffer, { number, backend, key });
    const view = toArray(buffer, size, type);
    if (!isPosix(key)) view.key = key;
    const known = segments.get(key);
    const same = known?.number === number;
    if (known !== undefined && known.buffer !== null && !same) replaced.push(known);
    segments.set(key, { size: size + (isPosix(key) ? 8 : 0), number, buffer, created: created || (same && known.created) });
    return view;
  };
}

function detach(key, forceDestroy = false) {
  if (isPosix(key)) return detachPosix(key, forceDestroy);
  checkKey(key);
  const known = segments.get(key);
  if (known === undefined) return forceDestroy && native.destroy(INTEGERS, key) ? 0 : -1;
  const [left] = known.buffer === null ? [1] : native.leave([known.number]);
  return finishDetach(key, known, left, forceDestroy);
}

// A System V segment after its detach, which says how many hold it still: 0 it is destroyed, -1 it was gone already.
// A segment that nobody holds is destroyed, even if another program made it, as in the original.
function finishDetach(key, known, left, forceDestroy) {
  known.buffer = null;
  const info = left > 0 ? native.info(INTEGERS, key) : null;
  if (info === null || !isSeen(known, info)) {
    segments.delete(key);
    return left > 0 ? -1 : left;
  }
  known.seen = info;
  const holders = forceDestroy ? 0 : isKept(info) ? 1 : native.destroyUnheld(INTEGERS, key);
  if (holders > 0) return info.holders || holders;
  segments.delete(key);
  if (forceDestroy) native.destroy(INTEGERS, key);
  return holders;
}

const isSeen = ({ seen }, { creator, created }) => seen === undefined || (seen.creator === creator && seen.created === created);

// Objects stay until they are destroyed, and so they do where integer keys live on POSIX.
const isKept = ({ holders, state }) => state === 'persistent' || holders === undefined;

function detachPosix(name, forceDestroy = false) {
  checkName(name);
  const key = name.startsWith('/') ? name : `/${name}`;
  const held = segments.get(key)?.buffer ?? null;
  if (held !== null) {
    native.leave([segments.get(key).number]);
    segments.get(key).buffer = null;
  }
  if (forceDestroy) {
    segments.delete(key);
    return native.destroy(POSIX, name) ? 0 : -1;
  }
  return held === null ? -1 : 1;
}

function destroy(key) {
  return detach(key, true) === 0;
}

function detachAll() {
  return leaveAll(false);
}

function leaveAll(atExit) {
  const held = [...segments].filter(([, { buffer }]) => buffer !== null);
  const all = [...held.map(([, known]) => known), ...replaced];
  const left = native.leave(all.map(({ number }) => number), atExit ? children() : undefined);
  replaced = [];
  let destroyed = 0;
  for (const [place, [key, known]] of held.entries()) {
    if (isPosix(key)) known.buffer = null;
    else if (wasDestroyed(key, known, left[place])) destroyed += 1;
  }
  return destroyed;
}

function wasDestroyed(key, known, left) {
  try {
    return finishDetach(key, known, left, false) === 0;
  } catch {
    return false; // another user's
  }
}

function total(condition) {
  return [...segments.values(), ...replaced].filter(condition).reduce((sum, { size }) => sum + size, 0);
}

function getTotalSize() {
  return total(({ buffer }) => buffer !== null && buffer.byteLength > 0);
}

function getTotalCreatedSize() {
  return total(({ created }) => created);
}

// Where the original does it: exit listeners that came before still see their views, later ones empty arrays.
process.on('exit', () => {
  try {
    const destroyed = leaveAll(isMainThread);
    if (isMainThread && !isQuiet()) native.tell(destroyed);
  } catch {
    // The exit code is the program's.
  }
});

module.exports = {
  create,
  createPosix,
  get,
  getPosix,
  detach,
  detachPosix,
  destroy,
  detachAll,
  getTotalSize,
  getTotalCreatedSize,
  BufferType,
  LengthMax: MAX_LENGTH,
};
