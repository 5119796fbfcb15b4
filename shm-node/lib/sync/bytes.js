'use strict';

// Messages, as what is sent and what is given back.

const { bufferOf, bytesOf, classOf } = require('../arrays.js');
const errors = require('./errors.js');
const native = require('./native.js');

const POOL = 1 << 16;
// Up to here a loop over words is faster than a view of the source.
const SHORT = 256;

// What a Buffer really is: its constructor has no detours.
const FastBuffer = Buffer[Symbol.species];
const isFast = FastBuffer?.prototype instanceof Uint8Array && FastBuffer !== Uint8Array;

let pool = new ArrayBuffer(0);
let poolBytes;
let poolWords;
let used = POOL;

/** A piece of memory for small Buffers, from `used` on. */
function renew() {
  pool = new ArrayBuffer(POOL);
  poolBytes = new Uint8Array(pool);
  poolWords = new Int32Array(pool);
  used = 0;
}

function take(length) {
  const buffer = isFast ? new FastBuffer(pool, used, length) : Buffer.from(pool, used, length);
  used += (length + 7) & ~7;
  return buffer;
}

/** A Buffer of its own with `length` bytes from `offset` on, a multiple of 8; `words` and `bytes` are the same memory. */
function copyOut(words, bytes, offset, length) {
  if (length > SHORT) {
    const copy = Buffer.allocUnsafeSlow(length);
    copy.set(bytes.subarray(offset, offset + length));
    return copy;
  }
  if (used + SHORT > pool.byteLength) renew();
  const to = used >> 2;
  const from = offset >>> 2;
  const count = (length + 3) >> 2;
  const into = poolWords;
  for (let i = 0; i < count; i++) into[to + i] = words[from + i];
  return take(length);
}

/** A Buffer of its own with what the addon reads into it: `read(target, at)`; null where that is nothing. */
function readOut(read) {
  if (used + SHORT > pool.byteLength) renew();
  let got = read(poolBytes, used);
  if (got >= 0) return take(got);
  while (got === native.SHORT) {
    const copy = Buffer.allocUnsafeSlow(native.out[0]);
    got = read(copy, 0);
    if (got >= 0) return got === copy.length ? copy : copy.subarray(0, got);
  }
  return null;
}

const tooShort = (target, length) =>
  errors.outOfRange('target', `at least ${length} bytes long, as the message is`, target.length);

/** Copies messages into an array of the caller's, mostly the same one. */
class Into {
  #target;
  #words;

  copy(words, bytes, offset, length, target) {
    if (length > target.length) throw tooShort(target, length);
    if (target !== this.#target) {
      this.#target = target;
      this.#words = target.byteOffset % 4 === 0 ? new Int32Array(target.buffer, target.byteOffset, target.length >> 2) : undefined;
    }
    if (length > SHORT || length % 4 !== 0 || this.#words === undefined) {
      target.set(bytes.subarray(offset, offset + length));
      return;
    }
    const from = offset >>> 2;
    const count = length >> 2;
    const into = this.#words;
    for (let i = 0; i < count; i++) into[i] = words[from + i];
  }
}

function checkTarget(target) {
  if (classOf(target) !== 'Uint8Array') throw errors.wrongType('target', 'a Buffer or a Uint8Array', target);
  return target;
}

/** A message as bytes. */
function toBytes(message) {
  if (classOf(message) === 'Uint8Array') return message;
  const bytes = bytesOf('message', message);
  if (bytes.length === 0 && isDetached(ArrayBuffer.isView(message) ? bufferOf(message) : message)) throw errors.changed();
  return bytes;
}

/** Whether a view is empty because its buffer was moved, or its segment detached. */
const isMoved = (view) => isDetached(bufferOf(view));

function isDetached(buffer) {
  if (buffer.byteLength > 0) return false;
  try {
    return buffer.detached ?? new Uint8Array(buffer).length > 0;
  } catch {
    return true;
  }
}

module.exports = { Into, checkTarget, copyOut, isMoved, readOut, toBytes, tooShort };
