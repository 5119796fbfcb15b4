'use strict';

// Wait and notify, as in `Atomics`, but across processes.

const { attachmentOf, checkIndex, checkOptions, checkTimeout } = require('./arguments.js');
const { now } = require('./clock.js');
const errors = require('./errors.js');
const { give } = require('./loop.js');
const native = require('./native.js');
const { pending } = require('./pending.js');
const { throwIfAborted } = require('./signals.js');

const OUTCOMES = ['ok', 'not-equal', 'timed-out'];
const [OK, NOT_EQUAL, TIMED_OUT] = [0, 1, 2];

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
    if (outcome === NOT_EQUAL && !first) return OUTCOMES[OK];
    if (outcome !== TIMED_OUT || left <= SLICE) return OUTCOMES[outcome];
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
  try {
    const number = attachmentOf(view);
    checkIndex(view, index);
    const expected = checkValue(value);
    const checked = checkOptions(options);
    const offset = view.byteOffset + index * 4;
    throwIfAborted(checked.signal);
    if (!native.holds(number, offset, expected)) return give(OUTCOMES[NOT_EQUAL]);
    const begin = () => native.watch(number, offset, expected);
    return pending({ none: OUTCOMES[TIMED_OUT], begin, woken: (outcome) => OUTCOMES[outcome] }, checked);
  } catch (error) {
    return Promise.reject(error);
  }
}

module.exports = { notify, wait, waitAsync };
