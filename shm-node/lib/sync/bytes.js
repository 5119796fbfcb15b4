'use strict';

// The bytes of messages: those that are sent, and the Buffers that are returned.

const { markAsUntransferable } = require('worker_threads');
const { bufferOf, bytesOf, classOf } = require('../arrays.js');
const errors = require('./errors.js');
const native = require('./native.js');
const { within } = require('./operations.js');

// As large as Node's own Buffer pools now are. A message keeps its pool alive.
const POOL = 1 << 16;
// Longer messages have their own memory.
const POOLED = 1 << 13;
// Up to here a loop over words is faster than a view of the source.
const SHORT = 256;

// The class of Buffers inside Node: its constructor does nothing else.
const FastBuffer = Buffer[Symbol.species];
const isFast = FastBuffer?.prototype instanceof Uint8Array && FastBuffer !== Uint8Array;

let pool = new ArrayBuffer(0);
let poolBytes;
let poolWords;
let used = 0;

/**
 * Makes another pool, or keeps the one there is if it throws. The pool must not be transferred with one of its messages,
 * because all others share its memory.
 */
function renew() {
  const fresh = new ArrayBuffer(POOL);
  markAsUntransferable?.(fresh);
  const freshBytes = new Uint8Array(fresh);
  const freshWords = new Int32Array(fresh);
  pool = fresh;
  poolBytes = freshBytes;
  poolWords = freshWords;
  used = 0;
}

/** Whether the pool has room for more than `length` bytes. A pool that was transferred all the same has none. */
const hasRoom = (length) => used + length < pool.byteLength;

/** A Buffer of the next bytes of the pool, which are free until `used` says otherwise. */
const next = (length) => (isFast ? new FastBuffer(pool, used, length) : Buffer.from(pool, used, length));

function take(length) {
  const buffer = next(length);
  used += (length + 7) & ~7;
  return buffer;
}

/**
 * Returns a pool with room for more than `length` bytes. The addon writes at `place()`, and `take` returns the Buffer.
 */
function room(length) {
  if (!hasRoom(length)) renew();
  return poolBytes;
}

const place = () => used;

/** A view of some bytes of an array. Faster than `subarray`, which looks up the class to make. */
const part = (bytes, offset, length) => new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length);

/** A new Buffer with `length` bytes from `offset` on, a multiple of 8; `words` and `bytes` are the same memory. */
function copyOut(words, bytes, offset, length) {
  if (length > SHORT) return copyLong(bytes, offset, length);
  if (!hasRoom(length)) renew();
  const to = used >> 2;
  const from = offset >>> 2;
  const count = (length + 3) >> 2;
  const into = poolWords;
  for (let i = 0; i < count; i++) into[to + i] = words[from + i];
  return take(length);
}

// A separate function, so that the one above stays small enough to be inlined into its callers.
function copyLong(bytes, offset, length) {
  if (length > POOLED) {
    const copy = Buffer.allocUnsafeSlow(length);
    copy.set(part(bytes, offset, length));
    return copy;
  }
  if (!hasRoom(length)) renew();
  poolBytes.set(part(bytes, offset, length), used);
  return take(length);
}

/**
 * A new Buffer with the bytes that the addon reads into it, by `read(handle, target, at, room, timeout)`; null if it
 * reads nothing. If `likely` is their number, the Buffer is made before: afterwards there may be no stack for it, and
 * the message is lost.
 */
function readOut(timeout, read, handle, likely = -1) {
  for (;;) {
    if (!hasRoom(0)) renew();
    const room = Math.min(POOLED, POOL - used);
    const buffer = likely >= 0 && likely <= room ? next(likely) : undefined;
    const got = within(timeout, read, handle, poolBytes, used, room);
    if (got === likely && buffer !== undefined) {
      used += (got + 7) & ~7;
      return buffer;
    }
    if (got >= 0) return take(got);
    if (got !== native.SHORT) return null;
    const [length] = native.out;
    if (length <= POOLED) renew();
    else {
      const copy = Buffer.allocUnsafeSlow(length);
      const got = within(timeout, read, handle, copy, 0, length);
      if (got >= 0) return got === length ? copy : copy.subarray(0, got);
      if (got !== native.SHORT) return null;
    }
  }
}

const tooShort = (target, length) =>
  errors.outOfRange('target', `at least ${length} bytes long, as the message is`, target.length);

/** Copies messages into an array of the caller, which is often the same one. */
class Into {
  #target;
  #words;

  copy(words, bytes, offset, length, target) {
    if (length > target.length) throw tooShort(target, length);
    if (target !== this.#target) {
      this.#target = target;
      this.#words = target.byteOffset % 4 === 0 ? new Int32Array(target.buffer, target.byteOffset, target.length >> 2) : undefined;
    }
    const count = length >> 2;
    const into = this.#words;
    // A target over a resizable buffer may have become longer since.
    if (length > SHORT || length % 4 !== 0 || into === undefined || count > into.length) {
      target.set(part(bytes, offset, length));
      return;
    }
    const from = offset >>> 2;
    for (let i = 0; i < count; i++) into[i] = words[from + i];
  }
}

function checkTarget(target) {
  if (!(target instanceof Uint8Array) && classOf(target) !== 'Uint8Array') {
    throw errors.wrongType('target', 'a Buffer or a Uint8Array', target);
  }
  return target;
}

/** A message as bytes. Throws if its buffer was detached. */
const toBytes = (message) => (message instanceof Uint8Array && message.length > 0 ? message : checkMessage(message));

function checkMessage(message) {
  const bytes = classOf(message) === 'Uint8Array' ? message : bytesOf('message', message);
  if (bytes.length === 0 && isDetached(ArrayBuffer.isView(message) ? bufferOf(message) : message)) throw errors.changed();
  return bytes;
}

/** Whether a view is empty because its buffer was transferred, or its segment detached. */
const isMoved = (view) => isDetached(bufferOf(view));

function isDetached(buffer) {
  if (buffer.byteLength > 0) return false;
  try {
    return buffer.detached ?? new Uint8Array(buffer).length > 0;
  } catch {
    return true;
  }
}

module.exports = { Into, POOLED, checkTarget, copyOut, isMoved, part, place, readOut, room, take, toBytes, tooShort };
