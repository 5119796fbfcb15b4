'use strict';

// Calls that block. They come back for a moment now and then, so that V8 can end the thread of a worker.

const { AGAIN, goOn, now } = require('./native.js');

/** The result of a blocking call. */
function block(got) {
  while (got === AGAIN) got = goOn();
  return got;
}

/** The same for a call that has to be made again, with the remaining time. */
function within(timeout, call) {
  // Most are done at once; and without a limit, time is no matter.
  const end = timeout === 0 || timeout === Infinity ? timeout : now() + timeout;
  let got = call(timeout);
  while (got === AGAIN) got = call(end === Infinity ? Infinity : Math.max(0, end - now()));
  return got;
}

module.exports = { block, within };
