'use strict';

// Wait and notify, as in `Atomics`, but across processes.

const { checkOptions, checkTimeout, placeOf } = require('./arguments.js');
const errors = require('./errors.js');
const { give } = require('./loop.js');
const native = require('./native.js');
const { within } = require('./operations.js');
const { pending } = require('./pending.js');
const { throwIfAborted } = require('./signals.js');

const OUTCOMES = ['ok', 'not-equal', 'timed-out'];
const [OK, NOT_EQUAL, TIMED_OUT] = [0, 1, 2];

function checkValue(value) {
  if (typeof value !== 'number') throw errors.wrongType('value', 'a number', value);
  return value | 0;
}

function wait(view, index, value, timeout) {
  const [number, offset] = placeOf(view, index);
  const expected = checkValue(value);
  let calls = 0;
  const call = (...args) => (calls++, native.wait(...args));
  const outcome = within(checkTimeout(timeout), call, number, offset, expected);
  // Between two calls, the word was changed, and its notification may have come.
  return OUTCOMES[outcome === NOT_EQUAL && calls > 1 ? OK : outcome];
}

function notify(view, index, count = Infinity) {
  const [number, offset] = placeOf(view, index);
  if (typeof count !== 'number') throw errors.wrongType('count', 'a number', count);
  if (!(count >= 0) || (count !== Infinity && !Number.isInteger(count))) {
    throw errors.outOfRange('count', 'an integer, 0 or more, or Infinity', count);
  }
  return native.notify(number, offset, Math.min(count, 0x7fffffff));
}

function waitAsync(view, index, value, options) {
  try {
    const [number, offset] = placeOf(view, index);
    const expected = checkValue(value);
    const checked = checkOptions(options);
    throwIfAborted(checked.signal);
    if (!native.holds(number, offset, expected)) return give(OUTCOMES[NOT_EQUAL]);
    const begin = () => native.watch(number, offset, expected);
    return pending({ none: OUTCOMES[TIMED_OUT], begin, woken: (outcome) => OUTCOMES[outcome] }, checked);
  } catch (error) {
    return Promise.reject(error);
  }
}

module.exports = { notify, wait, waitAsync };
