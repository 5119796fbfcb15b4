'use strict';

// Calls that block. They come back for a moment now and then, so that V8 can end the thread of a worker.

const { now } = require('./clock.js');
const native = require('./native.js');

const { AGAIN } = native;

/** The result of a blocking call. */
function block(got) {
  while (got === AGAIN) got = native.goOn();
  return got;
}

/** The same for a call that has to be made again, with the remaining time. */
function within(timeout, call) {
  const deadline = timeout === Infinity ? Infinity : now() + timeout;
  let got = call(timeout);
  while (got === AGAIN) got = call(deadline === Infinity ? Infinity : Math.max(0, deadline - now()));
  return got;
}

module.exports = { block, within };
