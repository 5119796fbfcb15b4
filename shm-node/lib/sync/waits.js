'use strict';

// Wait and notify, after the shape of `Atomics`, but across processes; and the waits of operations.

const { attachmentOf, checkIndex, checkOptions, checkTimeout } = require('./arguments.js');
const { now } = require('./clock.js');
const { expect } = require('./door.js');
const errors = require('./errors.js');
const native = require('./native.js');
const { offAbort, onAbort, reasonOf, throwIfAborted } = require('./signals.js');

const OUTCOMES = ['ok', 'not-equal', 'timed-out'];
const WOKEN = 0;
const CANCELLED = 3;

// Between two slices, V8 can end this thread where a worker is terminated.
const SLICE = 100;

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
    const outcome = native.wait(number, offset, expected, Math.max(0, Math.min(left, SLICE)));
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
  return native.notify(number, view.byteOffset + index * 4, Math.min(count, 0x7fffffff));
}

function waitAsync(view, index, value, options) {
  return new Promise((resolve, reject) => {
    const number = attachmentOf(view);
    checkIndex(view, index);
    const expected = checkValue(value);
    const checked = checkOptions(options);
    const start = (door, slot) =>
      native.beginWait(door, slot, checked.timeout, number, view.byteOffset + index * 4, expected);
    begin(start, checked, resolve, reject);
  });
}

/** Begins a wait; gives what ends it early, which then resolves it whatever came. */
function begin(start, { signal, ref }, resolve, reject) {
  let token;
  let place;
  let given = false;
  const cancel = () => {
    if (token !== undefined) native.cancelWait(token);
  };
  const ended = (how) => {
    if (signal !== undefined) offAbort(signal, cancel);
    const outcome = how & 7;
    // Who cancels has found what it waited for, by looking, or has given up: a wake-up belongs to another then.
    if ((given || signal?.aborted) && outcome === WOKEN) native.passOn(place);
    if (given) resolve();
    else if (signal?.aborted) reject(reasonOf(signal));
    else if (outcome < CANCELLED) resolve(OUTCOMES[outcome]);
    else reject(thrown(() => native.checkWait(place)) ?? (outcome === CANCELLED ? errors.detached() : refused(how >> 3)));
  };
  try {
    throwIfAborted(signal);
    if (signal !== undefined) onAbort(signal, cancel);
    throwIfAborted(signal); // it may have been by what it runs when somebody listens
    [token] = expect((door, slot) => start(door, (place = slot)), ref, ended);
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

function refused(errno) {
  const [code, text] = require('util').getSystemErrorMap().get(-errno) ?? ['UNKNOWN', 'unknown error'];
  return Object.assign(new Error(`${code}: ${text}, futex`), { code, errno: -errno, syscall: 'futex' });
}

module.exports = { begin, notify, wait, waitAsync };
