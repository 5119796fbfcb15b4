'use strict';

// Calls that block. They return for a moment from time to time, so that V8 can end the thread of a worker.

const { AGAIN, goOn, now } = require('./native.js');

/** The result of a blocking call. */
function block(got) {
  while (got === AGAIN) got = goOn();
  return got;
}

/** The same, for `call(...args, timeout)`, which has to be made again with the remaining time. */
function within(timeout, call, ...args) {
  // A call that must not wait, or that has no limit, needs no clock.
  const end = timeout === 0 || timeout === Infinity ? timeout : now() + timeout;
  let got = call(...args, timeout);
  while (got === AGAIN) got = call(...args, end === Infinity ? Infinity : Math.max(0, end - now()));
  return got;
}

module.exports = { block, within };
