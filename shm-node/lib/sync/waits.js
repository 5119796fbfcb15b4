'use strict';

// Wait and notify, after the shape of `Atomics`, but across processes.

const { bufferOf, classOf } = require('../arrays.js');
const native = require('../native.js');
const { attachments } = require('../views.js');
const { now } = require('./clock.js');
const { expect } = require('./door.js');
const errors = require('./errors.js');
const { checkSignal, offAbort, onAbort, reasonOf, throwIfAborted } = require('./signals.js');

const OUTCOMES = ['ok', 'not-equal', 'timed-out'];
const WOKEN = 0;
const CANCELLED = 3;

// Between two slices, V8 can end this thread where a worker is terminated.
const SLICE = 100;

/** The number of a view's attachment, once the view is known to be one that can be waited on. */
function attachmentOf(view) {
  if (classOf(view) !== 'Int32Array') throw errors.wrongType('view', 'an Int32Array over a segment', view);
  const attachment = attachments.get(bufferOf(view));
  if (attachment === undefined) throw errors.wrongValue('view', view, 'is not over a shared segment');
  if (view.length === 0) throw errors.detached();
  return attachment.number;
}

function checkIndex(view, index) {
  if (typeof index !== 'number') throw errors.wrongType('index', 'a number', index);
  if (!Number.isInteger(index) || index < 0 || index >= view.length) {
    throw errors.outOfRange('index', `an integer from 0 to ${view.length - 1}`, index);
  }
}

function checkTimeout(timeout) {
  if (timeout === undefined) return Infinity;
  if (typeof timeout !== 'number') throw errors.wrongType('timeout', 'a number', timeout);
  if (!(timeout >= 0)) throw errors.outOfRange('timeout', 'a number of milliseconds, 0 or more', timeout);
  return timeout;
}

/** `{ timeout, signal, ref }`, checked. */
function checkOptions(options = {}) {
  if (typeof options !== 'object' || options === null) throw errors.wrongType('options', 'an object', options);
  const { timeout, signal, ref = true } = options;
  checkSignal(signal);
  if (typeof ref !== 'boolean') throw errors.wrongType('ref', 'a boolean', ref);
  return { timeout: checkTimeout(timeout), signal, ref };
}

function checkValue(value) {
  if (typeof value !== 'number') throw errors.wrongType('value', 'a number', value);
  return value | 0;
}

function wait(view, index, value, timeout) {
  const number = attachmentOf(view);
  checkIndex(view, index);
  const expected = checkValue(value);
  const limit = checkTimeout(timeout);
  const offset = view.byteOffset + index * 4;
  const deadline = now() + limit;
  for (let first = true; ; first = false) {
    const left = deadline - now();
    const outcome = native.sleepOn(number, offset, expected, Math.max(0, Math.min(left, SLICE)));
    // The word was changed, and its notification may have come, between two slices.
    if (outcome === 1 && !first) return 'ok';
    if (outcome !== 2 || left <= SLICE) return OUTCOMES[outcome];
  }
}

function notify(view, index, count = Infinity) {
  const number = attachmentOf(view);
  checkIndex(view, index);
  if (typeof count !== 'number') throw errors.wrongType('count', 'a number', count);
  if (!(count >= 0) || (count !== Infinity && !Number.isInteger(count))) {
    throw errors.outOfRange('count', 'an integer, 0 or more, or Infinity', count);
  }
  return native.wake(number, view.byteOffset + index * 4, Math.min(count, 0x7fffffff));
}

function waitAsync(view, index, value, options) {
  return new Promise((resolve, reject) => {
    const number = attachmentOf(view);
    checkIndex(view, index);
    const expected = checkValue(value);
    const { timeout, signal, ref } = checkOptions(options);
    begin(number, view.byteOffset + index * 4, expected, timeout, signal, ref, resolve, reject);
  });
}

/** Begins a wait; gives what ends it early, which then resolves it whatever came. */
function begin(number, offset, expected, timeout, signal, ref, resolve, reject) {
  let token;
  let given = false;
  const cancel = () => {
    if (token !== undefined) native.cancelWait(token);
  };
  const ended = (how) => {
    if (signal !== undefined) offAbort(signal, cancel);
    const outcome = how & 7;
    // Who cancels has found what it waited for, by looking, or has given up: a wake-up belongs to another then.
    if ((given || signal?.aborted) && outcome === WOKEN) passOn(number, offset);
    if (given) resolve();
    else if (signal?.aborted) reject(reasonOf(signal));
    else if (outcome < CANCELLED) resolve(OUTCOMES[outcome]);
    else if (outcome === CANCELLED) reject(thrown(() => native.checkShrunk(number)) ?? errors.detached());
    else reject(thrown(() => native.checkWord(number, offset)) ?? refused(how >> 3));
  };
  try {
    throwIfAborted(signal);
    if (signal !== undefined) onAbort(signal, cancel);
    throwIfAborted(signal); // it may have been by what it runs when somebody listens
    [token] = expect((door, slot) => native.beginWait(number, offset, expected, timeout, door, slot), ref, ended);
  } catch (error) {
    if (signal !== undefined) offAbort(signal, cancel);
    reject(error);
    return undefined;
  }
  return () => {
    given = true;
    cancel();
  };
}

function thrown(call) {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A wake-up that found one who had given up belongs to the next one. */
function passOn(number, offset) {
  try {
    native.wake(number, offset, 1);
  } catch {
    // The segment was detached meanwhile, and with it all who waited here.
  }
}

function refused(errno) {
  const [code, text] = require('util').getSystemErrorMap().get(-errno) ?? ['UNKNOWN', 'unknown error'];
  return Object.assign(new Error(`${code}: ${text}, futex`), { code, errno: -errno, syscall: 'futex' });
}

module.exports = { attachmentOf, begin, checkIndex, checkOptions, checkTimeout, notify, wait, waitAsync };
